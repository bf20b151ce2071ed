namespace Fairlead.Generations;

/// <summary>A signal that can be set and awaited repeatedly. Thread-safe.</summary>
internal sealed class AsyncSignal
{
    private TaskCompletionSource _source = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Completes at the first <see cref="Set"/> after this property was read.</summary>
    public Task Next => Volatile.Read(ref _source).Task;

    public void Set()
    {
        var next = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Interlocked.Exchange(ref _source, next).TrySetResult();
    }
}
