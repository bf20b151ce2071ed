using Fairlead.Streaming;

namespace Fairlead.Generations;

/// <summary>
/// Reads a source to its end into an <see cref="EventLog"/> on its own, whether or not anyone reads: a generation that goes on when its
/// client leaves.
/// </summary>
internal sealed class LoggedEvents : IAsyncDisposable
{
    private readonly IEventSource _source;
    private readonly CancellationTokenSource _stop;

    private LoggedEvents(IEventSource source, CancellationToken cancellationToken)
    {
        _source = source;
        _stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
    }

    public EventLog Log { get; } = new();

    /// <summary>Done when the source has ended and everything is in the log. Faults only for bugs and for the token.</summary>
    public Task Completion { get; private set; } = Task.CompletedTask;

    /// <summary>Starts pumping. <paramref name="cancellationToken"/> stops the generation itself, not a reader.</summary>
    public static LoggedEvents Start(IEventSource source, CancellationToken cancellationToken)
    {
        var logged = new LoggedEvents(source, cancellationToken);
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
        await _source.DisposeAsync();
    }

    private async Task PumpAsync(CancellationToken cancellationToken)
    {
        using var batch = new EventBatch();
        try
        {
            while (await _source.ReadAsync(batch, cancellationToken)) Log.Append(batch);
        }
        finally
        {
            Log.Complete();
        }
    }
}
