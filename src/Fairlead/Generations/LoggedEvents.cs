using Fairlead.Streaming;

namespace Fairlead.Generations;

/// <summary>
/// Reads a source to its end into an <see cref="EventLog"/> on its own, whether or not anyone reads: a generation that goes on when its
/// client leaves.
/// </summary>
internal sealed class LoggedEvents : IAsyncDisposable
{
    private readonly IEventSource _source;

    private LoggedEvents(IEventSource source) => _source = source;

    public EventLog Log { get; } = new();

    /// <summary>Done when the source has ended and everything is in the log. Faults only for bugs and for the token.</summary>
    public Task Completion { get; private set; } = Task.CompletedTask;

    /// <summary>Starts pumping. <paramref name="cancellationToken"/> stops the generation itself, not a reader.</summary>
    public static LoggedEvents Start(IEventSource source, CancellationToken cancellationToken)
    {
        var logged = new LoggedEvents(source);
        logged.Completion = Task.Run(() => logged.PumpAsync(cancellationToken), CancellationToken.None);
        return logged;
    }

    public async ValueTask DisposeAsync()
    {
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
