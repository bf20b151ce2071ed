using Fairlead.Storage;
using Microsoft.Extensions.Logging;

namespace Fairlead.Access;

/// <summary>
/// The current snapshot, replaced as a whole. Reads run one after another, so that a later read never restores an earlier state. Changes
/// that are made during a read share the next one: with many keys a read takes long, and each change would wait for those of all others. A
/// read that fails leaves the snapshot in place: known callers stay valid while the store is unavailable. Thread-safe.
/// </summary>
internal sealed class CallerSnapshots(CallerSnapshotReader reader, ILogger<CallerSnapshots> logger) : ICurrentCallers, IDisposable
{
    private readonly SemaphoreSlim _gate = new(1, 1);
    private readonly Lock _lock = new();
    private Task? _waiting;
    private volatile CallerSnapshot? _current;
    private volatile object? _version;
    private volatile bool _isStale;

    /// <summary>Null until the store was read once.</summary>
    public CallerSnapshot? Current => _current;

    // Not the snapshot itself: a job that waits may keep it for hours.
    object? ICurrentCallers.Version => _current?.Identity;

    /// <summary>
    /// Whether the store did not respond at the last check. A key that is not in <see cref="Current"/> may have been created since.
    /// </summary>
    public bool IsStale
    {
        get => _isStale;
        set => _isStale = value;
    }

    /// <summary>Reads the store; when it returns, everything committed before the call is in <see cref="Current"/>.</summary>
    public async Task ReloadAsync(CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken);
        await ReadAsync(cancellationToken);
    }

    private async Task ReadAsync(CancellationToken cancellationToken)
    {
        try
        {
            // Before the rows: a change in between is then read again, and never missed.
            var version = reader.Version;
            var read = await reader.ReadAsync(cancellationToken);
            (_current, _version) = (read, version);
            AuthenticationLog.SnapshotLoaded(logger, read.Count, read.Revision);
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>Reads the store if any process changed it, or if the configuration changed what callers get.</summary>
    public async Task RefreshAsync(CancellationToken cancellationToken)
    {
        if (_current is { } known && ReferenceEquals(_version, reader.Version)
            && await reader.ReadRevisionAsync(cancellationToken) == known.Revision)
        {
            return;
        }
        await ReloadAsync(cancellationToken);
    }

    /// <summary>
    /// After a change of this process that is committed: the change stays committed even if this fails, and the next refresh applies it.
    /// </summary>
    public async Task ReloadAfterChangeAsync()
    {
        try
        {
            await NextReadAsync();
        }
        catch (Exception exception) when (StorageErrors.IsStoreError(exception))
        {
            AuthenticationLog.RefreshFailed(logger, exception);
        }
    }

    // The read that has not begun yet. What was committed before this call is in it.
    private Task NextReadAsync()
    {
        lock (_lock) return _waiting ??= ReadNextAsync();
    }

    private async Task ReadNextAsync()
    {
        // Not the request's token: a client that disconnects must not delay a revocation.
        await _gate.WaitAsync(CancellationToken.None).ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        lock (_lock) _waiting = null;
        await ReadAsync(CancellationToken.None);
    }

    Caller? ICurrentCallers.Find(string keyId) => _current?.FindKey(keyId)?.Caller;

    public void Dispose() => _gate.Dispose();
}
