using Fairlead.Streaming;

namespace Fairlead.Caching;

/// <summary>A kept output as a stream. For one reader.</summary>
/// <param name="output">The output.</param>
/// <param name="pacing">Whether the pauses of the first stream are repeated, if they are known.</param>
/// <param name="time">The clock.</param>
internal sealed class CachedEvents(CachedOutput output, CachePacing pacing, TimeProvider time) : IEventSource
{
    private long _startedAt;
    private int _next;
    private bool _hasStarted;
    private bool _hasEnded;

    // It waits for nothing, or for the clock only.
    public bool BuffersAhead => true;

    public async ValueTask<bool> ReadAsync(EventBatch batch, CancellationToken cancellationToken)
    {
        batch.Clear();
        if (_hasEnded) return false;
        cancellationToken.ThrowIfCancellationRequested();
        var until = int.MaxValue;
        if (pacing == CachePacing.Original && output.Offsets is { } offsets && offsets.Count > 0)
        {
            if (!_hasStarted) _startedAt = time.GetTimestamp();
            var due = TimeSpan.FromMilliseconds(offsets[_next]) - time.GetElapsedTime(_startedAt);
            if (due > TimeSpan.Zero) await Task.Delay(due, time, cancellationToken);
            until = Math.Max(offsets[_next], (int)Math.Min(int.MaxValue, time.GetElapsedTime(_startedAt).TotalMilliseconds));
        }
        _hasStarted = true;
        _next = output.AddTo(batch, _next, until);
        _hasEnded = _next >= output.Events.Count;
        return true;
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
