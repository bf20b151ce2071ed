namespace Fairlead.Auditing.Spooling;

/// <summary>
/// Makes one flush serve all callers that asked before it started. Thread-safe; uses no thread while nothing is requested.
/// </summary>
internal sealed class GroupFlusher(Action flush)
{
    private readonly Lock _gate = new();
    private TaskCompletionSource _next = New();
    private bool _running;
    private bool _asked;

    /// <summary>Completes when a flush that started after this call has ended; fails as it does.</summary>
    public Task FlushAsync()
    {
        lock (_gate)
        {
            var task = _next.Task;
            _asked = true;
            if (!_running)
            {
                _running = true;
                ThreadPool.UnsafeQueueUserWorkItem(static flusher => flusher.Run(), this, preferLocal: false);
            }
            return task;
        }
    }

    private void Run()
    {
        while (true)
        {
            TaskCompletionSource current;
            lock (_gate)
            {
                current = _next;
                _next = New();
                _asked = false;
            }
            try
            {
                flush();
                current.SetResult();
            }
            catch (Exception e)
            {
                current.SetException(e);
                // The callers get the exception; this marks it as observed if there are none.
                _ = current.Task.Exception;
            }
            lock (_gate)
            {
                if (_asked) continue;
                _running = false;
                return;
            }
        }
    }

    private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
