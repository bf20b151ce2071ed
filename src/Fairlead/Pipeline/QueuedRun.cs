namespace Fairlead.Pipeline;

/// <summary>
/// The run of a job that a worker took from the queue. No client waits for it, so limits and full deployments do not refuse it. They
/// postpone it: it returns to the queue, and the worker takes another job. All other calls are refused, also those that continue without
/// their client. Belongs to the flow of its call.
/// </summary>
/// <param name="workers">Workers of the node, 1 or more.</param>
/// <param name="waitedBefore">Time since the first run of the job was started.</param>
internal sealed class QueuedRun(int workers, TimeSpan waitedBefore)
{
    public int Workers { get; } = Math.Max(1, workers);

    /// <summary>Time since the job was first started. It counts for ageing: a job that was postponed does not lose its turn.</summary>
    public TimeSpan WaitedBefore { get; } = waitedBefore;

    /// <summary>Set if it is postponed; null for a run that ends.</summary>
    public Postponement? Postponed { get; private set; }

    /// <summary>Postpones the run. False if its deadline passes first: then it ends here.</summary>
    /// <param name="call">The call of the run.</param>
    /// <param name="postponement">For how long.</param>
    public bool TryPostpone(GatewayCall call, Postponement postponement)
    {
        if (call.Deadline is { } deadline && call.Time.GetUtcNow() + postponement.Pause >= deadline) return false;
        Postponed = postponement;
        return true;
    }
}

/// <summary>How long a job is not started again.</summary>
/// <param name="Pause">Until the job may be taken from the queue, on any node.</param>
/// <param name="LinePause">Until this node takes another job of the same key, model and class.</param>
internal readonly record struct Postponement(TimeSpan Pause, TimeSpan LinePause);
