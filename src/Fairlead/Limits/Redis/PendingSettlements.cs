namespace Fairlead.Limits.Redis;

/// <summary>Counts the settlements that were sent and have no response yet. Thread-safe.</summary>
internal sealed class PendingSettlements
{
    private readonly Lock _gate = new();
    private TaskCompletionSource? _idle;
    private int _count;

    /// <summary>Completes when none is pending.</summary>
    public Task Completion
    {
        get
        {
            lock (_gate)
            {
                if (_count == 0) return Task.CompletedTask;
                return (_idle ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
            }
        }
    }

    public void Enter()
    {
        lock (_gate) _count++;
    }

    public void Leave()
    {
        lock (_gate)
        {
            if (--_count > 0) return;
            _idle?.SetResult();
            _idle = null;
        }
    }
}
