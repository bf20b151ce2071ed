using Fairlead.Storage;
using Microsoft.Extensions.Logging;

namespace Fairlead.Access;

/// <summary>
/// The present snapshot, swapped whole. Reads follow one another, so that a later one never brings back an earlier state; one that
/// fails leaves the snapshot in place: who was known stays known while the store is away. Thread-safe.
/// </summary>
internal sealed class CallerSnapshots(CallerSnapshotReader reader, ILogger<CallerSnapshots> logger) : IDisposable
{
    private readonly SemaphoreSlim _gate = new(1, 1);
    private volatile CallerSnapshot? _current;
    private volatile bool _isBehind;

    /// <summary>Null until the store was read for the first time.</summary>
    public CallerSnapshot? Current => _current;

    /// <summary>Whether the store did not answer at the last look: a key that is not in <see cref="Current"/> may have been made since.</summary>
    public bool IsBehind
    {
        get => _isBehind;
        set => _isBehind = value;
    }

    /// <summary>Reads the store; when it returns, everything committed before the call is in <see cref="Current"/>.</summary>
    public async Task ReloadAsync(CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            var read = await reader.ReadAsync(cancellationToken);
            _current = read;
            AuthenticationLog.SnapshotLoaded(logger, read.Count, read.Revision);
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>Reads the store when anything was changed in it, by whatever process.</summary>
    public async Task RefreshAsync(CancellationToken cancellationToken)
    {
        if (_current is { } known && await reader.ReadRevisionAsync(cancellationToken) == known.Revision) return;
        await ReloadAsync(cancellationToken);
    }

    /// <summary>After a change of ours that is already committed: the change stands even when this fails, the next refresh will bring it.</summary>
    public async Task ReloadAfterChangeAsync()
    {
        try
        {
            // Not the request's token: a client that hangs up must not delay a revocation.
            await ReloadAsync(CancellationToken.None);
        }
        catch (Exception fault) when (StorageFaults.IsStoreFault(fault))
        {
            AuthenticationLog.RefreshFailed(logger, fault);
        }
    }

    public void Dispose() => _gate.Dispose();
}
