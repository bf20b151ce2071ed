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

    /// <summary>Longest wait of a run on its worker. Then it is postponed, so that the runs of other models get its place.</summary>
    private static readonly TimeSpan MaxRunWait = TimeSpan.FromSeconds(30);

    /// <summary>The same on a node with one worker, which no other job has meanwhile.</summary>
    private static readonly TimeSpan MaxWaitOfOnlyWorker = TimeSpan.FromSeconds(1);

    /// <summary>How long a run is postponed that got no slot.</summary>
    private static readonly TimeSpan RunPause = TimeSpan.FromSeconds(1);

    /// <summary>
    /// How long no other run like it is started after one found no place to wait. <see cref="RunLeft"/> ends it earlier.
    /// </summary>
    private static readonly TimeSpan NoPlacePause = TimeSpan.FromSeconds(10);

    private readonly Lock _reloading = new();
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
        Apply();
    }

    /// <summary>Called when the run of a job got a slot, so that another one can wait in its place.</summary>
    public event Action<GatewayCall>? RunLeft;

    /// <summary>
    /// Takes a slot, which must be returned, if one is free, no call waits for it, and the provider's own limits have room for the call.
    /// Allocates nothing.
    /// </summary>
    public bool TryTake(GatewayCall call, Deployment deployment)
    {
        var isTaken = _slots.TryTake(deployment, InputTokensOf(call), out var reservation);
        Reserved(call, reservation);
        return isTaken;
    }

    /// <summary>Returns the slot of an attempt that has ended, and learns from it.</summary>
    public void GiveBack(GatewayCall call, Attempt attempt)
    {
        if (!attempt.Sent) _slots.QuotaOf(attempt.Deployment).Return(call.QuotaReservation);
        _slots.GiveBack(attempt.Deployment, AttemptSamples.Of(call, attempt, _time));
    }

    /// <summary>Whether several keys of the provider may be used, and its own limits leave room for the call with one of them.</summary>
    public bool HasOtherKey(GatewayCall call, Deployment deployment) =>
        deployment.UsableKeyIds.Length > 1 && _slots.QuotaWaitOf([deployment], InputTokensOf(call)) <= TimeSpan.Zero;

    /// <summary>Where an attempt reports what the provider says about its own limits.</summary>
    public ProviderQuota QuotaOf(Deployment deployment) => _slots.QuotaOf(deployment);

    /// <summary>Returns a slot that no attempt used.</summary>
    public void GiveBack(GatewayCall call, Deployment deployment) =>
        _slots.GiveBackUnused(deployment, call.QuotaReservation);

    /// <summary>Returns a slot that the call cannot use, because the deployment was closed. If the call waits again, it has its place.</summary>
    public void LoseSlot(GatewayCall call, Deployment deployment)
    {
        call.Turn?.KeepPlace();
        GiveBack(call, deployment);
    }

    /// <summary>
    /// Waits until a deployment has a slot for the call, up to <c>scheduling.maxWait</c>, in all its waits together. The run of a job waits
    /// up to <see cref="MaxRunWait"/> and is then postponed, or at once if too many wait. A call that had a slot before goes to the head.
    /// </summary>
    /// <param name="call">The call.</param>
    /// <param name="deployments">Those that may serve it, the preferred one first.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>The slot or the error; neither if all deployments were closed meanwhile.</returns>
    /// <exception cref="OperationCanceledException">The token fired; no slot is taken.</exception>
    public async ValueTask<SlotWait> WaitAsync(
        GatewayCall call, IReadOnlyList<Deployment> deployments, CancellationToken cancellationToken)
    {
        var settings = SettingsOf(call.Model);
        var turn = call.Turn ??= new SchedulingTurn();
        var since = _time.GetTimestamp();
        var waiting = NewCall(call);
        var outcome = "left";
        TimeSpan? expected = null;
        var patience = waiting.Workers switch
        {
            0 => settings.MaxWait - turn.Waited,
            1 => MaxWaitOfOnlyWorker,
            _ => MaxRunWait,
        };
        if (patience < TimeSpan.Zero) patience = TimeSpan.Zero;
        // Nothing that happens here ends this wait earlier.
        var held = _slots.QuotaWaitOf(deployments, waiting.InputTokens);
        if (!waiting.IsRun && held > waiting.TimeLeft)
            return new SlotWait(null, SchedulingErrors.HeldBeyondDeadline(call.Model.Id, waiting, held));
        if (!waiting.IsRun && held > patience) return new SlotWait(null, SchedulingErrors.Held(held));
        try
        {
            _slots.Enter(waiting, call.Model.Id, settings, deployments);
            try
            {
                await waiting.Ending.WaitAsync(patience, _time, cancellationToken);
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
            if (!_slots.Leave(waiting) && waiting.State == QueueState.Granted)
                _slots.GiveBackUnused(Granted(waiting, deployments), waiting.Reservation);
            throw;
        }
        finally
        {
            if (waiting.Charged > 0) turn.Add(new SchedulingCharge(waiting, call.Attempts.Count + 1));
            outcome = waiting switch
            {
                { State: QueueState.Granted } => "granted",
                { Refusal: QueueRefusal.Full } => "queue_full",
                { Refusal: QueueRefusal.Deadline } => "deadline",
                { Refusal: QueueRefusal.NoPlace } => "postponed",
                { Refusal: QueueRefusal.Closed } => "closed",
                { IsRun: true } when outcome == "timeout" => "postponed",
                _ => outcome,
            };
            Reserved(call, waiting.Reservation);
            turn.LastWait = waiting;
            var waited = _time.GetElapsedTime(since);
            turn.Waited += waited;
            call.Timings.Add(Phase.Queue, since);
            _metrics.Waited(waiting.Class, waited, outcome);
            if (waiting is { IsRun: true, State: QueueState.Granted }) RunLeft?.Invoke(call);
        }
        // The error is for a run whose deadline passes meanwhile.
        if (waiting.State != QueueState.Granted && call.QueuedRun is { } run)
        {
            var isFull = waiting.Refusal == QueueRefusal.NoPlace;
            run.TryPostpone(call, new Postponement(RunPause, isFull ? NoPlacePause : RunPause));
        }
        return waiting switch
        {
            { State: QueueState.Granted } => new SlotWait(Granted(waiting, deployments), null),
            { Refusal: QueueRefusal.Full } => new SlotWait(null, Full(call, waiting, settings.MaxQueued[waiting.Class])),
            { Refusal: QueueRefusal.Deadline } => new SlotWait(null, SchedulingErrors.DeadlineMissed(call.Model.Id, waiting)),
            { Refusal: QueueRefusal.Closed } when _slots.QuotaWaitOfTests(deployments, waiting.InputTokens) is var left && left > TimeSpan.Zero =>
                new SlotWait(null, SchedulingErrors.Held(left)),
            { Refusal: QueueRefusal.Closed } => new SlotWait(null, null),
            _ when _slots.QuotaWaitOf(deployments, waiting.InputTokens) is var left && left > TimeSpan.Zero =>
                new SlotWait(null, SchedulingErrors.Held(left)),
            _ => new SlotWait(null, SchedulingErrors.NoSlot(call.Model.Id, waiting, turn.Waited, expected)),
        };
    }

    /// <summary>Replaces what was estimated for a call that waited by what it used. Once, when the call ends.</summary>
    public void Settle(GatewayCall call)
    {
        if (call.Turn is not { } turn) return;
        var charges = turn.TakeCharges();
        for (var i = 0; i < charges.Count; i++)
        {
            var (wait, first) = charges[i];
            var next = i + 1 < charges.Count ? charges[i + 1].FirstAttempt : int.MaxValue;
            var (input, output, hasResponded) = (0L, 0L, false);
            // A retry may have used the slot of the attempt before it.
            foreach (var attempt in call.Attempts)
            {
                if (attempt.Number < first || attempt.Number >= next || attempt.Deployment.Name != wait.Deployment) continue;
                input += attempt.Usage.InputTokens;
                output += attempt.Usage.OutputTokens;
                hasResponded |= ReferenceEquals(attempt, call.Answering);
            }
            if (hasResponded) _slots.Settle(wait, input, output);
            else _slots.SettleFailed(wait, input, output);
        }
    }

    public void Dispose() => _configuration.Changed -= Reloaded;

    private static void Reserved(GatewayCall call, in QuotaReservation reservation) =>
        (call.QuotaReservation, call.ProviderKey) = (reservation, reservation.Key);

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
        Earlier = call.Turn?.TakePlace(),
        Workers = call.QueuedRun?.Workers ?? 0,
        WaitedBefore = call.QueuedRun?.WaitedBefore ?? TimeSpan.Zero,
        TimeLeft = call.Deadline is { } deadline ? deadline - call.Time.GetUtcNow() : null,
    };

    internal static double InputTokensOf(GatewayCall call) =>
        call.InputEstimate.Tokens > 0 ? call.InputEstimate.Tokens : call.MaxInputTokens / BytesPerToken;

    private GatewayError Full(GatewayCall call, QueuedCall waiting, int maximum)
    {
        SchedulingLog.QueueFull(_logger, call.Model.Id, maximum, CallClasses.All[waiting.Class]);
        return SchedulingErrors.Full(call.Model.Id, waiting, maximum);
    }

    private void Reloaded(GatewayConfiguration configuration) => Apply();

    private void Apply()
    {
        // The catalogue is read under the lock, so that the newest one is applied last.
        lock (_reloading)
        {
            var catalogue = _catalogue.Current;
            _slots.SetLimits(catalogue.Models.SelectMany(model => model.Deployments));
            _slots.SetQueueSettings(name => _configuration.Current.Scheduling.With(catalogue.Find(name)?.Scheduling));
        }
    }

    /// <summary>The settings that are in force: those of the newest catalogue, and not of the one that the call has.</summary>
    private SchedulingConfig SettingsOf(CatalogueModel model)
    {
        var newest = _catalogue.Current.Find(model.Id) is { } found && found.Id == model.Id ? found : model;
        return _configuration.Current.Scheduling.With(newest.Scheduling);
    }

    private sealed class WaitingCall : QueuedCall
    {
        private readonly TaskCompletionSource _ending = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Ending => _ending.Task;

        public override void Ended() => _ending.TrySetResult();
    }
}
