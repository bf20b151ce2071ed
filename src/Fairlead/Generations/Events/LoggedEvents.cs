using Fairlead.Streaming;

namespace Fairlead.Generations.Events;

/// <summary>
/// Reads a source to its end into an <see cref="EventQueue"/>, independently of the reader of the queue: for a generation that continues
/// when its client leaves or is too slow.
/// </summary>
internal sealed class LoggedEvents : IAsyncDisposable
{
    private readonly IEventSource _source;
    private readonly Action? _lagging;
    private readonly CancellationTokenSource _stop;

    private LoggedEvents(IEventSource source, EventQueue events, Action? lagging, CancellationToken cancellationToken)
    {
        _source = source;
        Events = events;
        _lagging = lagging;
        _stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
    }

    /// <summary>Events that the reader has not read yet.</summary>
    public EventQueue Events { get; }

    /// <summary>Completes when the source has ended and all events are in the queue. Fails only for bugs and for the token.</summary>
    public Task Completion { get; private set; } = Task.CompletedTask;

    /// <summary>Starts pumping.</summary>
    /// <param name="source">The generation.</param>
    /// <param name="cancellationToken">Stops the generation itself, not a reader.</param>
    /// <param name="events">The queue that it fills.</param>
    /// <param name="lagging">Called if the queue has no room: the client of the reader is too slow.</param>
    public static LoggedEvents Start(
        IEventSource source, CancellationToken cancellationToken, EventQueue? events = null, Action? lagging = null)
    {
        var logged = new LoggedEvents(source, events ?? new EventQueue(), lagging, cancellationToken);
        logged.Completion = Task.Run(() => logged.PumpAsync(logged._stop.Token), CancellationToken.None);
        return logged;
    }

    /// <summary>Stops the pump if it still runs, and waits until it no longer uses the source.</summary>
    public async ValueTask StopAsync()
    {
        if (!Completion.IsCompleted) await _stop.CancelAsync();
        await Completion.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    public async ValueTask DisposeAsync()
    {
        // A source must not be disposed while it is read: its buffer would be in the pool while the read still writes to it.
        await StopAsync();
        _stop.Dispose();
        Events.Abandon();
        await _source.DisposeAsync();
    }

    private async Task PumpAsync(CancellationToken cancellationToken)
    {
        using var batch = new EventBatch();
        try
        {
            while (await _source.ReadAsync(batch, cancellationToken))
            {
                while (!Events.TryAppend(batch))
                {
                    _lagging?.Invoke();
                    await Events.DrainedAsync(cancellationToken);
                }
            }
        }
        finally
        {
            Events.Complete();
        }
    }
}
