using System.Globalization;
using Fairlead.Catalogue;
using Fairlead.Scheduling;
using Fairlead.Scheduling.Adaptive;

namespace Fairlead.Benchmarks.Simulation;

/// <summary>
/// An hour of mixed traffic on 50 deployments in virtual time, with the queues and the learned limits of the gateway:
/// 30 organizations of equal weight need 65 % of the slots; from minute 10 to 20, another one sends as much as all of them together; from
/// minute 30 to 45, 15 deployments can do only a quarter. Deterministic.
/// </summary>
internal sealed class SchedulingSimulation
{
    public const int Deployments = 50;
    public const int MaxConcurrency = 8;
    public const int Organizations = 30;
    public const int Degraded = 15;
    public const int DegradedCapacity = 2;
    public const int Minutes = 60;

    private const int Models = 6;
    private const int DeploymentsOfModel = 15;
    private const string Flood = "flood";
    private const double MeanOutput = 300;
    private const double MeanSeconds = 10;

    /// <summary>Part of the slots that the organizations need together.</summary>
    private const double Demand = 0.65;

    private readonly VirtualTime _time = new();
    private readonly Random _random = new(20261130);
    private readonly DeploymentSlots _slots;
    private readonly SimulatedProvider[] _providers;
    private readonly SimulatedProvider[][] _ofModel;
    private readonly SchedulingConfig _settings = new()
    {
        MaxQueued = new QueueLengths { Realtime = 1_000_000, Standard = 1_000_000, Bulk = 1_000_000 },
    };

    private readonly List<double>[,] _waits = new List<double>[3, Minutes];
    private readonly Dictionary<string, double[]> _served = new(StringComparer.Ordinal);

    private SchedulingSimulation()
    {
        _slots = new DeploymentSlots(_time);
        _providers = [.. Enumerable.Range(0, Deployments).Select(NewProvider)];
        // Models share deployments: each has 15, of which 6 are also those of the next one.
        _ofModel = [.. Enumerable.Range(0, Models).Select(model =>
            Enumerable.Range(0, DeploymentsOfModel).Select(i => _providers[((model * 9) + i) % Deployments]).ToArray())];
        for (var rank = 0; rank < 3; rank++)
        {
            for (var minute = 0; minute < Minutes; minute++) _waits[rank, minute] = [];
        }
    }

    /// <summary>95th percentile of the wait of calls by class and minute of arrival, in seconds.</summary>
    public double[][] WaitsByClass => [.. Enumerable.Range(0, 3).Select(rank =>
        Enumerable.Range(0, Minutes).Select(minute => Percentile(_waits[rank, minute], 0.95)).ToArray())];

    /// <summary>Output tokens of the flooding organization by minute.</summary>
    public double[] FloodTokens => TokensOf(Flood);

    /// <summary>Output tokens of a mean organization of the others by minute.</summary>
    public double[] MeanTokens => [.. Enumerable.Range(0, Minutes).Select(minute => Others.Average(tokens => tokens[minute]))];

    /// <summary>The same of the one that got least in ten minutes around that minute.</summary>
    public double[] LeastTokens => [.. Enumerable.Range(0, Minutes).Select(minute => Others.Min(tokens => Around(tokens, minute)))];

    /// <summary>Sum of what the 15 deployments that degrade can do, by quarter of a minute.</summary>
    public List<double> Capacity { get; } = [];

    /// <summary>Sum of their limits in force.</summary>
    public List<double> Limits { get; } = [];

    /// <summary>Sum of the attempts that run there.</summary>
    public List<double> Running { get; } = [];

    /// <summary>Calls that were served, in all.</summary>
    public int Calls { get; private set; }

    /// <summary>Attempts that providers refused, by minute.</summary>
    public double[] Refusals { get; } = new double[Minutes];

    private IEnumerable<double[]> Others => _served.Where(entry => entry.Key != Flood).Select(entry => entry.Value);

    /// <summary>Runs the hour.</summary>
    public static SchedulingSimulation Run()
    {
        var simulation = new SchedulingSimulation();
        simulation.RunHour();
        return simulation;
    }

    private static SimulatedProvider NewProvider(int number) => new()
    {
        Deployment = new Deployment
        {
            Name = $"provider{number % 7}/model{number}",
            ProviderName = $"provider{number % 7}",
            UpstreamModel = $"model{number}",
            MaxConcurrency = MaxConcurrency,
            IsAdaptive = true,
        },
        Capacity = MaxConcurrency,
        Refuses = number % 2 == 0,
    };

    private static TimeSpan Minute(int minute) => TimeSpan.FromMinutes(minute);

    private static double Percentile(List<double> values, double share)
    {
        if (values.Count == 0) return 0;
        values.Sort();
        return values[(int)Math.Min(values.Count - 1, share * values.Count)];
    }

    private static double Around(double[] tokens, int minute)
    {
        var (from, to) = (Math.Max(0, minute - 5), Math.Min(Minutes, minute + 5));
        return tokens[from..to].Average();
    }

    private double[] TokensOf(string organization)
    {
        if (!_served.TryGetValue(organization, out var tokens)) _served[organization] = tokens = new double[Minutes];
        return tokens;
    }

    private void RunHour()
    {
        for (var i = 0; i < Organizations; i++)
        {
            var name = "org" + i.ToString("00", CultureInfo.InvariantCulture);
            TokensOf(name);
            Arrive(name, 1, Minute(Minutes));
        }
        _time.After(Minute(10), () => Arrive(Flood, Organizations, Minute(20)));
        _time.After(Minute(30), () => Degrade(DegradedCapacity));
        _time.After(Minute(45), () => Degrade(MaxConcurrency));
        Tick();
        Sample();
        _time.RunUntil(Minute(Minutes));
    }

    private void Degrade(int capacity)
    {
        for (var i = 0; i < Degraded; i++) _providers[i].Capacity = capacity;
    }

    private void Tick()
    {
        _slots.Learn();
        _time.After(LearningService.Interval, Tick);
    }

    private void Sample()
    {
        var degraded = _providers.AsSpan(0, Degraded);
        var loads = new DeploymentLoads(_slots);
        var (capacity, limits, running) = (0, 0, 0);
        foreach (var provider in degraded)
        {
            var load = loads.Of(provider.Deployment);
            capacity += provider.Capacity;
            limits += load.Limit ?? MaxConcurrency;
            running += load.InFlight;
        }
        Capacity.Add(capacity);
        Limits.Add(limits);
        Running.Add(running);
        _time.After(TimeSpan.FromSeconds(15), Sample);
    }

    private void Arrive(string organization, double rate, TimeSpan until)
    {
        if (_time.Now >= until) return;
        Send(new SimulatedCall(Granted)
        {
            Organization = organization,
            Class = _random.Next(3),
            Model = _random.Next(Models),
            InputTokens = 100 + _random.Next(400),
            Output = (MeanOutput / 2) + _random.Next((int)MeanOutput),
            ArrivedAt = _time.Now,
        });
        var mean = Organizations * MeanSeconds / (Deployments * MaxConcurrency * Demand);
        _time.After(TimeSpan.FromSeconds(-Math.Log(1 - _random.NextDouble()) * mean / rate), () => Arrive(organization, rate, until));
    }

    private void Send(SimulatedCall call)
    {
        var candidates = _ofModel[call.Model];
        var first = _random.Next(candidates.Length);
        for (var i = 0; i < candidates.Length; i++)
        {
            var provider = candidates[(first + i) % candidates.Length];
            if (!_slots.TryTake(provider.Deployment)) continue;
            Start(call, provider);
            return;
        }
        _slots.Enter(call, "model" + call.Model.ToString(CultureInfo.InvariantCulture), _settings,
            [.. candidates.Select(provider => provider.Deployment)]);
    }

    private void Granted(SimulatedCall call) =>
        Start(call, _ofModel[call.Model].First(provider => provider.Deployment.Name == call.Deployment));

    private void Start(SimulatedCall call, SimulatedProvider provider)
    {
        var startedAt = _time.GetTimestamp();
        if (provider.IsFull)
        {
            Refusals[Math.Min(Minutes - 1, (int)_time.Now.TotalMinutes)]++;
            _time.After(TimeSpan.FromMilliseconds(100), () => Refuse(call, provider, startedAt));
            return;
        }
        provider.Running++;
        var minute = (int)call.ArrivedAt.TotalMinutes;
        if (minute < Minutes) _waits[call.Class, minute].Add((_time.Now - call.ArrivedAt).TotalSeconds);
        var (firstToken, whole) = provider.SecondsOf(call.InputTokens, call.Output);
        _time.After(TimeSpan.FromSeconds(whole), () =>
        {
            provider.Running--;
            Calls++;
            TokensOf(call.Organization)[Math.Min(Minutes - 1, (int)_time.Now.TotalMinutes)] += call.Output;
            _slots.GiveBack(provider.Deployment, new AttemptSample(AttemptResult.Served, startedAt, whole)
            {
                FirstTokenSeconds = firstToken,
                PaceSeconds = whole - firstToken,
                InputTokens = call.InputTokens,
                OutputTokens = call.Output,
            });
            _slots.Settle(call, call.InputTokens, call.Output);
        });
    }

    /// <summary>A refused attempt returns its slot, and the call goes to the head of the queue.</summary>
    private void Refuse(SimulatedCall call, SimulatedProvider provider, long startedAt)
    {
        _slots.GiveBack(provider.Deployment, new AttemptSample(AttemptResult.Refused, startedAt, 0.1) { IsRateLimited = true });
        Send(new SimulatedCall(Granted)
        {
            Organization = call.Organization,
            Class = call.Class,
            Model = call.Model,
            InputTokens = call.InputTokens,
            Output = call.Output,
            ArrivedAt = call.ArrivedAt,
            IsReturning = true,
        });
    }
}
