using Fairlead.Streaming;

namespace Fairlead.Generations.Events;

/// <summary>
/// Reads a source to its end into an <see cref="EventQueue"/> on its own, whether or not anyone reads: a generation that goes on when its
/// client leaves, or is too slow.
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

    /// <summary>What was read of the source and not yet by its reader.</summary>
    public EventQueue Events { get; }

    /// <summary>Done when the source has ended and everything is in the queue. Faults only for bugs and for the token.</summary>
    public Task Completion { get; private set; } = Task.CompletedTask;

    /// <summary>Starts pumping.</summary>
    /// <param name="source">The generation.</param>
    /// <param name="cancellationToken">Stops the generation itself, not a reader.</param>
    /// <param name="events">The queue that it fills.</param>
    /// <param name="lagging">Called when the queue has no room: the reader has to go on without whom it waits for, or give up.</param>
    public static LoggedEvents Start(IEventSource source, CancellationToken cancellationToken, EventQueue? events = null, Action? lagging = null)
    {
        var logged = new LoggedEvents(source, events ?? new EventQueue(), lagging, cancellationToken);
        logged.Completion = Task.Run(() => logged.PumpAsync(logged._stop.Token), CancellationToken.None);
        return logged;
    }

    /// <summary>Stops the pump if it still runs, and waits until it has let go of the source and of what the source feeds.</summary>
    public async ValueTask StopAsync()
    {
        if (!Completion.IsCompleted) await _stop.CancelAsync();
        await Completion.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    public async ValueTask DisposeAsync()
    {
        // A source may not be disposed while it is read: its buffer would go back to the pool under a read that writes into it.
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
