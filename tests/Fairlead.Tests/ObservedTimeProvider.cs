using System.Threading.Channels;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests;

/// <summary>A clock that moves only when a test advances it. A test can wait until code waits for the clock.</summary>
internal sealed class ObservedTimeProvider(DateTimeOffset start) : FakeTimeProvider(start)
{
    private readonly Channel<TimeSpan> _timers = Channel.CreateUnbounded<TimeSpan>();

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = base.CreateTimer(callback, state, dueTime, period);
        // Only now: to advance the clock fires it.
        _timers.Writer.TryWrite(dueTime);
        return timer;
    }

    /// <summary>The time of the next timer that was made, of those that this has not returned before.</summary>
    public ValueTask<TimeSpan> NextTimerAsync(CancellationToken cancellationToken) => _timers.Reader.ReadAsync(cancellationToken);

    /// <summary>Returns once a timer of <paramref name="dueTime"/> was made.</summary>
    public async Task TimerAsync(TimeSpan dueTime, CancellationToken cancellationToken)
    {
        while (await NextTimerAsync(cancellationToken) != dueTime)
        {
            // Another one.
        }
    }
}
