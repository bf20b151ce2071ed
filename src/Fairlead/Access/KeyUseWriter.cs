using Fairlead.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Access;

/// <summary>Stores once a minute when keys were used last, all of them in one transaction. Calls never wait for it.</summary>
internal sealed class KeyUseWriter(CallerSnapshots snapshots, IStorage storage, TimeProvider time, ILogger<KeyUseWriter> logger)
    : BackgroundService
{
    internal static readonly TimeSpan Interval = TimeSpan.FromMinutes(1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken)) await TryWriteAsync(stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The server stops.
        }
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        await TryWriteAsync(cancellationToken);
    }

    /// <summary>Stores what is not stored yet; returns for how many keys.</summary>
    public async Task<int> WriteAsync(CancellationToken cancellationToken)
    {
        var used = (snapshots.Current?.Uses ?? []).Select(one => (one.Key, Use: one.Value, one.Value.At))
            .Where(one => one.At > one.Use.Stored).ToArray();
        if (used.Length == 0) return 0;
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        foreach (var (key, _, at) in used)
        {
            // Another node may have seen it later. A key that was deleted meanwhile has no row.
            await connection.ExecuteAsync(
                """
                INSERT INTO api_key_uses (key_id, last_used_at) SELECT id, @at FROM api_keys WHERE id = @key
                ON CONFLICT (key_id) DO UPDATE SET last_used_at = excluded.last_used_at
                WHERE api_key_uses.last_used_at < excluded.last_used_at
                """,
                [("@key", key), ("@at", at)], cancellationToken);
        }
        await transaction.CommitAsync(cancellationToken);
        foreach (var (_, use, at) in used) use.Stored = at;
        return used.Length;
    }

    private async Task TryWriteAsync(CancellationToken cancellationToken)
    {
        try
        {
            await WriteAsync(cancellationToken);
        }
        catch (Exception exception) when (StorageErrors.IsStoreError(exception))
        {
            AccessLog.UsesNotStored(logger, StorageErrors.Describe(exception));
        }
    }
}
