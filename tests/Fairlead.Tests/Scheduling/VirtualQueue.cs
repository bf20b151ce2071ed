using Fairlead.Catalogue;
using Fairlead.Scheduling;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Scheduling;

/// <summary>One call of a simulation: what it needs, and what became of it.</summary>
internal sealed class SimulatedCall(Action<SimulatedCall> ended) : QueuedCall
{
    public required string Model { get; init; }

    public required IReadOnlyList<Deployment> Deployments { get; init; }

    public required TimeSpan Duration { get; init; }

    public double Output { get; init; } = 100;

    public TimeSpan ArrivedAt { get; set; }

    public TimeSpan? StartedAt { get; set; }

    public TimeSpan Wait => StartedAt!.Value - ArrivedAt;

    /// <summary>It found no free slot.</summary>
    public bool HadToWait { get; set; }

    /// <summary>Slots that others got while it waited.</summary>
    public long PassedBy { get; set; }

    public Action? Completed { get; set; }

    public double Cost => InputTokens + (VirtualTokens.OutputWeight * Output);

    public override void Ended() => ended(this);
}

/// <summary>Deployments and their queues in virtual time: calls arrive, wait, run as long as they say, and end.</summary>
internal sealed class VirtualQueue
{
    private readonly PriorityQueue<Action, (TimeSpan At, long Number)> _events = new();
    private readonly DateTimeOffset _start;
    private long _number;

    public VirtualQueue()
    {
        Slots = new DeploymentSlots(Time);
        _start = Time.GetUtcNow();
    }

    public FakeTimeProvider Time { get; } = new();

    public DeploymentSlots Slots { get; }

    public SchedulingConfig Settings { get; set; } = new();

    public TimeSpan Now => Time.GetUtcNow() - _start;

    /// <summary>Slots given to calls that waited, so far.</summary>
    public long Grants { get; private set; }

    public List<SimulatedCall> Started { get; } = [];

    public List<SimulatedCall> Refused { get; } = [];

    public static Deployment At(string name, int? slots) =>
        new() { Name = name, ProviderName = "p", UpstreamModel = name, MaxConcurrency = slots };

    public SimulatedCall NewCall(
        string organization, IReadOnlyList<Deployment> deployments, TimeSpan duration, int rank = 1, double weight = 1, double input = 100,
        double output = 100, string model = "m", bool isRun = false, bool isReturning = false, TimeSpan? timeLeft = null,
        int workers = 100_000, TimeSpan waitedBefore = default) => new(Ended)
    {
        Organization = organization,
        Deployments = deployments,
        Duration = duration,
        Class = rank,
        Weight = weight,
        InputTokens = input,
        Output = output,
        Model = model,
        Workers = isRun ? workers : 0,
        WaitedBefore = waitedBefore,
        IsReturning = isReturning,
        TimeLeft = timeLeft,
    };

    /// <summary>The call arrives now.</summary>
    public SimulatedCall Send(SimulatedCall call, Action? completed = null)
    {
        call.ArrivedAt = Now;
        call.Completed = completed;
        foreach (var deployment in call.Deployments)
        {
            if (!Slots.TryTake(deployment)) continue;
            Start(call, deployment);
            return call;
        }
        call.HadToWait = true;
        call.PassedBy = -Grants;
        Slots.Enter(call, call.Model, Settings, call.Deployments);
        return call;
    }

    public void After(TimeSpan delay, Action action) => _events.Enqueue(action, (Now + delay, ++_number));

    /// <summary>Runs everything that happens until <paramref name="end"/>.</summary>
    public void RunUntil(TimeSpan end)
    {
        while (_events.TryPeek(out var action, out var when) && when.At <= end)
        {
            _events.Dequeue();
            if (when.At > Now) Time.Advance(when.At - Now);
            action();
        }
        if (end > Now) Time.Advance(end - Now);
    }

    /// <summary>The call leaves the queue.</summary>
    public bool Leave(SimulatedCall call) => Slots.Leave(call);

    private void Ended(SimulatedCall call)
    {
        if (call.State == QueueState.Refused)
        {
            Refused.Add(call);
            return;
        }
        call.PassedBy += Grants;
        Grants++;
        Start(call, call.Deployments.First(deployment => deployment.Name == call.Deployment));
    }

    private void Start(SimulatedCall call, Deployment deployment)
    {
        call.StartedAt = Now;
        Started.Add(call);
        After(call.Duration, () =>
        {
            Slots.GiveBack(deployment, call.Duration);
            Slots.Settle(call, call.InputTokens, call.Output);
            call.Completed?.Invoke();
        });
    }
}
