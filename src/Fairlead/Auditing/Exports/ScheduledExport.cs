using System.Data.Common;
using System.Globalization;
using Fairlead.Auditing.Chain;
using Fairlead.Configuration;
using Fairlead.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Auditing.Exports;

/// <summary>
/// Writes the records that were added to the chains since the last file into the next, at every multiple of
/// <see cref="AuditExportConfig.Interval"/>. Each record is in exactly one file, whenever its call began and however long its node was
/// away: a file goes by the numbers of the chains, not by times. One node writes it.
/// </summary>
/// <remarks>
/// A file is named after the time since which it has records, and has its name only once it is whole and on the disk. If the process
/// dies before that is in the database, the next file has the same name and all of it, so it replaces the first.
/// </remarks>
internal sealed class ScheduledExport(
    IStorage storage, AuditExporter exporter, IConfigurationSource configuration, TimeProvider time, ILogger<ScheduledExport> logger)
    : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(20);

    private static readonly TimeSpan RetryDelay = TimeSpan.FromMinutes(1);

    /// <summary>Writes a file if one is due; returns its path, or null if none was or nothing is new.</summary>
    internal async Task<string?> RunAsync(CancellationToken cancellationToken)
    {
        var config = configuration.Current.Audit.Export;
        if (config.Directory is not { } directory) return null;
        var now = time.GetUtcNow().ToUnixTimeMilliseconds();
        await using var connection = await storage.OpenAsync(cancellationToken);
        if (await connection.Int64Async("SELECT at FROM audit_exports WHERE id = 1", [], cancellationToken) is not { } last)
        {
            await storage.ExecuteAsync(
                "INSERT INTO audit_exports (id, at) VALUES (1, @at) ON CONFLICT (id) DO NOTHING", [("@at", now)], cancellationToken);
            return null;
        }
        var interval = (long)config.Interval.TotalMilliseconds;
        var end = now / interval * interval;
        if (end <= last) return null;

        var path = Path.Combine(Path.GetFullPath(configuration.Current.DataDirectory), directory);
        // In PostgreSQL the row stays locked until the file is there, so that other nodes leave it alone, and the lock goes with its process.
        // In SQLite there is one process, and calls are not to wait for a file.
        if (storage.Provider == StorageProvider.Sqlite)
        {
            var export = await WriteAsync(path, config.Format, last, cancellationToken);
            await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
            await SaveAsync(connection, end, export.Positions, cancellationToken);
            await transaction.CommitAsync(cancellationToken);
            return export.File;
        }
        await using (var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken))
        {
            var mine = await connection.Int64Async(
                $"SELECT at FROM audit_exports WHERE id = 1 AND at = @last{storage.Sql.ForUpdateSkipLocked}", [("@last", last)],
                cancellationToken);
            if (mine is null) return null;
            var export = await WriteAsync(path, config.Format, last, cancellationToken);
            await SaveAsync(connection, end, export.Positions, cancellationToken);
            await transaction.CommitAsync(cancellationToken);
            return export.File;
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        var delay = Interval;
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await Task.Delay(delay, time, stoppingToken);
                await RunAsync(stoppingToken);
                delay = Interval;
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                delay = RetryDelay;
                logger.AuditExportFailed(e, delay);
            }
        }
    }

    private async Task<(string? File, List<(string Node, long Sequence)> Positions)> WriteAsync(
        string folder, ExportFormat format, long since, CancellationToken cancellationToken)
    {
        var ranges = await RangesAsync(cancellationToken);
        if (ranges.TrueForAll(range => range.After >= range.UpTo)) return (null, []);
        Directory.CreateDirectory(folder);
        var name = string.Create(CultureInfo.InvariantCulture,
            $"audit-{DateTimeOffset.FromUnixTimeMilliseconds(since).UtcDateTime:yyyyMMdd'T'HHmmss'Z'}.{format.ToWire()}");
        var file = Path.Combine(folder, name);
        var next = file + ".next";
        var count = 0L;
        try
        {
            await using (var output = new FileStream(next, FileMode.Create, FileAccess.Write, FileShare.Read, 64 * 1024, useAsync: true))
            {
                await using var writer = await format.WriterAsync(output, cancellationToken);
                foreach (var (node, after, upTo) in ranges)
                    count += await exporter.WriteChainAsync(writer, node, after, upTo, cancellationToken);
                await writer.FinishAsync(cancellationToken);
                await output.FlushAsync(cancellationToken);
                output.Flush(flushToDisk: true);
            }
            File.Move(next, file, overwrite: true);
        }
        catch
        {
            File.Delete(next);
            throw;
        }
        logger.AuditExported(count, file);
        return (file, ranges.ConvertAll(range => (range.Node, range.UpTo)));
    }

    private async Task<List<(string Node, long After, long UpTo)>> RangesAsync(CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        var known = await connection.QueryAsync("SELECT node, sequence FROM audit_export_positions", [],
            row => (Node: row.Text("node"), Sequence: row.Int64("sequence")), cancellationToken);
        var positions = known.ToDictionary(row => row.Node, row => row.Sequence, StringComparer.Ordinal);
        var chains = await ChainState.AllAsync(connection, cancellationToken);
        return chains.ConvertAll(chain => (chain.Node, positions.GetValueOrDefault(chain.Node), chain.Sequence));
    }

    private static async Task SaveAsync(
        DbConnection connection, long at, List<(string Node, long Sequence)> positions, CancellationToken cancellationToken)
    {
        foreach (var (node, sequence) in positions)
        {
            await connection.ExecuteAsync(
                """
                INSERT INTO audit_export_positions (node, sequence) VALUES (@node, @sequence)
                ON CONFLICT (node) DO UPDATE SET sequence = excluded.sequence
                """,
                [("@node", node), ("@sequence", sequence)], cancellationToken);
        }
        await connection.ExecuteAsync("UPDATE audit_exports SET at = @at WHERE id = 1", [("@at", at)], cancellationToken);
    }
}
