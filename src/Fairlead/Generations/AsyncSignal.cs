namespace Fairlead.Generations;

/// <summary>A signal that can be waited for again and again. Thread-safe.</summary>
internal sealed class AsyncSignal
{
    private TaskCompletionSource _source = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Done at the first <see cref="Set"/> after this was read.</summary>
    public Task Next => Volatile.Read(ref _source).Task;

    public void Set() => Interlocked.Exchange(ref _source, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();
}
