using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Scheduling.Adaptive;
using Fairlead.Scheduling.Quotas;
using Microsoft.Extensions.Logging;

namespace Fairlead.Scheduling;

/// <summary>
/// Gives calls their slots at deployments: at once if one is free and nobody waits for it, otherwise in the order of class, ageing and
/// fairness (<see cref="FairQueue"/>). Thread-safe.
/// </summary>
internal sealed class Scheduler : IDisposable
{
    /// <summary>Bytes of a request per input token, where the tokens were not counted. Corrected when the call ends.</summary>
    private const double BytesPerToken = 4;

    private readonly DeploymentSlots _slots;
    private readonly IConfigurationSource _configuration;
    private readonly ICatalogue _catalogue;
    private readonly SchedulingMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly ILogger<Scheduler> _logger;

    public Scheduler(
        DeploymentSlots slots, IConfigurationSource configuration, ICatalogue catalogue, SchedulingMetrics metrics, TimeProvider time,
        ILogger<Scheduler> logger)
    {
        (_slots, _configuration, _catalogue, _metrics, _time, _logger) = (slots, configuration, catalogue, metrics, time, logger);
        // After the catalogue's own subscription, so that it has the new limits.
        configuration.Changed += Reloaded;
        slots.Relearned += ApplyLimits;
    }

    /// <summary>Called when a call without a client leaves the queue, so that another one can be started.</summary>
    public event Action? RunLeft;

    /// <summary>
    /// Takes a slot, which must be returned, if one is free, no call waits for it, and the provider's own limits have room for the call.
    /// Allocates nothing.
    /// </summary>
    public bool TryTake(GatewayCall call, Deployment deployment)
    {
        var isTaken = _slots.TryTake(deployment, InputTokensOf(call), out var key);
        call.ProviderKey = key;
        return isTaken;
    }

    /// <summary>Returns the slot of an attempt that has ended, and learns from it.</summary>
    public void GiveBack(GatewayCall call, Attempt attempt) => _slots.GiveBack(attempt.Deployment, AttemptSamples.Of(call, attempt, _time));

    /// <summary>Whether the provider has several keys, and its own limits leave room for the call with one of them.</summary>
    public bool HasOtherKey(GatewayCall call, Deployment deployment) =>
        deployment.KeyIds.Length > 1 && _slots.QuotaWaitOf([deployment], InputTokensOf(call)) <= TimeSpan.Zero;

    /// <summary>Where an attempt reports what the provider says about its own limits.</summary>
    public ProviderQuota QuotaOf(Deployment deployment) => _slots.QuotaOf(deployment);

    /// <summary>Returns a slot that no attempt used.</summary>
    public void GiveBack(Deployment deployment) => _slots.GiveBack(deployment);

    /// <summary>
    /// Waits until a deployment has a slot for the call. A call with a client waits up to <c>scheduling.maxWait</c>, in all its waits
    /// together. A call that had a slot before goes to the head.
    /// </summary>
    /// <param name="call">The call.</param>
    /// <param name="deployments">Those that may serve it, the preferred one first.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="OperationCanceledException">The token fired; no slot is taken.</exception>
    public async ValueTask<SlotWait> WaitAsync(
        GatewayCall call, IReadOnlyList<Deployment> deployments, CancellationToken cancellationToken)
    {
        var settings = _configuration.Current.Scheduling.With(call.Model.Scheduling);
        var turn = call.Turn ??= new SchedulingTurn();
        var since = _time.GetTimestamp();
        var waiting = NewCall(call);
        var outcome = "left";
        TimeSpan? expected = null;
        var patience = settings.MaxWait - turn.Waited;
        if (patience < TimeSpan.Zero) patience = TimeSpan.Zero;
        // Nothing that happens here ends this wait earlier.
        var held = _slots.QuotaWaitOf(deployments, waiting.InputTokens);
        if (!call.CanWaitForSlot && held > waiting.TimeLeft)
            return new SlotWait(null, SchedulingErrors.HeldBeyondDeadline(call.Model.Id, waiting, held));
        if (!call.CanWaitForSlot && held > patience) return new SlotWait(null, SchedulingErrors.Held(held));
        try
        {
            _slots.Enter(waiting, call.Model.Id, settings, deployments);
            try
            {
                await waiting.Ending.WaitAsync(call.CanWaitForSlot ? Timeout.InfiniteTimeSpan : patience, _time, cancellationToken);
            }
            catch (TimeoutException)
            {
                expected = _slots.ExpectedWaitOf(waiting);
                // A slot that is granted at this moment counts as granted.
                if (_slots.Leave(waiting)) outcome = "timeout";
            }
        }
        catch (OperationCanceledException)
        {
            if (!_slots.Leave(waiting) && waiting.State == QueueState.Granted) _slots.GiveBack(Granted(waiting, deployments));
            throw;
        }
        finally
        {
            if (waiting.Charged > 0) turn.Charged ??= waiting;
            outcome = waiting switch
            {
                { State: QueueState.Granted } => "granted",
                { Refusal: QueueRefusal.Full } => "queue_full",
                { Refusal: QueueRefusal.Deadline } => "deadline",
                _ => outcome,
            };
            call.ProviderKey = waiting.ProviderKey;
            var waited = _time.GetElapsedTime(since);
            turn.Waited += waited;
            call.Timings.Add(Phase.Queue, since);
            _metrics.Waited(waiting.Class, waited, outcome);
            if (waiting.IsRun) RunLeft?.Invoke();
        }
        return waiting switch
        {
            { State: QueueState.Granted } => new SlotWait(Granted(waiting, deployments), null),
            { Refusal: QueueRefusal.Full } => new SlotWait(null, Full(call, waiting, settings.MaxQueued[waiting.Class])),
            { Refusal: QueueRefusal.Deadline } => new SlotWait(null, SchedulingErrors.DeadlineMissed(call.Model.Id, waiting)),
            _ when _slots.QuotaWaitOf(deployments, waiting.InputTokens) is var left && left > TimeSpan.Zero =>
                new SlotWait(null, SchedulingErrors.Held(left)),
            _ => new SlotWait(null, SchedulingErrors.NoSlot(call.Model.Id, waiting, turn.Waited, expected)),
        };
    }

    /// <summary>Replaces what was estimated for a call that waited by what it used. Once, when the call ends.</summary>
    public void Settle(GatewayCall call, long inputTokens, long outputTokens)
    {
        if (call.Turn is not { Charged: { } charged } turn) return;
        turn.Charged = null;
        _slots.Settle(charged, inputTokens, outputTokens);
    }

    /// <summary>
    /// Names of the models, as clients send them, of which as many jobs wait for a slot as may: no other is started now.
    /// </summary>
    /// <param name="runs">Jobs of one model that may wait for a slot, 1 or more.</param>
    public IReadOnlyList<string> ModelsWithoutRoom(int runs)
    {
        var models = _slots.ModelsWithRuns(runs);
        if (models.Count == 0) return [];
        var names = new List<string>();
        foreach (var model in models)
        {
            names.Add(model);
            names.AddRange(_catalogue.Current.Find(model)?.Aliases ?? []);
        }
        return names;
    }

    public void Dispose()
    {
        _configuration.Changed -= Reloaded;
        _slots.Relearned -= ApplyLimits;
    }

    private static Deployment Granted(QueuedCall waiting, IReadOnlyList<Deployment> deployments)
    {
        foreach (var deployment in deployments)
        {
            if (deployment.Name == waiting.Deployment) return deployment;
        }
        throw new InvalidOperationException("The slot is at none of the deployments.");
    }

    private static WaitingCall NewCall(GatewayCall call) => new()
    {
        Organization = call.Caller.OrganizationId,
        Weight = (double)Math.Max(call.Caller.OrganizationWeight, 0.001m),
        Class = CallClasses.RankOf(call.Class),
        InputTokens = InputTokensOf(call),
        MaxOutputTokens = call.MaxOutputTokens,
        IsReturning = call.Attempts.Count > 0,
        IsRun = call.CanWaitForSlot,
        TimeLeft = call.Deadline is { } deadline ? deadline - call.Time.GetUtcNow() : null,
    };

    internal static double InputTokensOf(GatewayCall call) =>
        call.InputEstimate.Tokens > 0 ? call.InputEstimate.Tokens : call.MaxInputTokens / BytesPerToken;

    private GatewayError Full(GatewayCall call, QueuedCall waiting, int maximum)
    {
        SchedulingLog.QueueFull(_logger, call.Model.Id, maximum, CallClasses.All[waiting.Class]);
        return SchedulingErrors.Full(call.Model.Id, waiting, maximum);
    }

    private void Reloaded(GatewayConfiguration configuration) => ApplyLimits();

    private void ApplyLimits()
    {
        var current = _catalogue.Current;
        _slots.LimitsChanged((model, deployment) =>
            current.Find(model)?.Deployments.FirstOrDefault(candidate => candidate.Name == deployment));
    }

    private sealed class WaitingCall : QueuedCall
    {
        private readonly TaskCompletionSource _ending = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Ending => _ending.Task;

        public override void Ended() => _ending.TrySetResult();
    }
}
