namespace Fairlead.Generations;

/// <summary>
/// Wakes the loop that takes jobs from the queue. A signal that comes while the loop works is not lost. Thread-safe; one waiter.
/// </summary>
internal sealed class JobSignal(TimeProvider time)
{
    private readonly Lock _gate = new();
    private TaskCompletionSource _source = NewSource();

    /// <summary>A job may be in the queue, or there may be room for one.</summary>
    public void Wake()
    {
        lock (_gate) _source.TrySetResult();
    }

    /// <summary>Returns at the next <see cref="Wake"/>, after <paramref name="timeout"/>, or when the token fires.</summary>
    public async Task WaitAsync(TimeSpan timeout, CancellationToken cancellationToken)
    {
        Task signal;
        lock (_gate) signal = _source.Task;
        try
        {
            await signal.WaitAsync(timeout, time, cancellationToken);
        }
        catch (Exception exception) when (exception is TimeoutException or OperationCanceledException)
        {
            return;
        }
        lock (_gate) _source = NewSource();
    }

    private static TaskCompletionSource NewSource() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
