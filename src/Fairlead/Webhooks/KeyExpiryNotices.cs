using System.Buffers;
using System.Text.Json;
using Fairlead.Http;
using Fairlead.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Webhooks;

/// <summary>
/// Sends <c>key.expiring</c> seven days and one day before a key expires, once each. The notice is stored in the transaction of the event, so
/// it does not matter which node sends it. A key that expires sooner than in a day gets the second one only.
/// </summary>
internal sealed class KeyExpiryNotices(
    IStorage storage, IWebhookOutbox outbox, TimeProvider time, ILogger<KeyExpiryNotices> logger) : BackgroundService
{
    internal static readonly TimeSpan Interval = TimeSpan.FromMinutes(10);

    private const int Batch = 100;
    private const int EarlyDays = 7;
    private const int LateDays = 1;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                try
                {
                    await SendAsync(stoppingToken);
                }
                catch (Exception exception) when (StorageErrors.IsStoreError(exception))
                {
                    KeyExpiryLog.NotSent(logger, StorageErrors.Describe(exception));
                }
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The server stops.
        }
    }

    /// <summary>Announces all keys that are due; returns how many.</summary>
    public async Task<int> SendAsync(CancellationToken cancellationToken)
    {
        for (var sent = 0; ;)
        {
            var (found, announced) = await SendBatchAsync(cancellationToken);
            sent += announced;
            if (found < Batch) return sent;
        }
    }

    private async Task<(int Found, int Announced)> SendBatchAsync(CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        var late = now + TimeSpan.FromDays(LateDays);
        await using var connection = await storage.OpenAsync(cancellationToken);
        var due = await connection.QueryAsync(
            $"""
            SELECT k.id, k.name, k.project_id, k.expires_at, p.organization_id
            FROM api_keys k JOIN projects p ON p.id = k.project_id
            WHERE k.revoked_at IS NULL AND k.expires_at > @now AND k.expires_at <= @early AND NOT EXISTS (
                SELECT 1 FROM api_key_notices n WHERE n.key_id = k.id AND n.expires_at = k.expires_at
                    AND n.days = CASE WHEN k.expires_at <= @late THEN {LateDays} ELSE {EarlyDays} END)
            ORDER BY k.id LIMIT {Batch}
            """,
            [("@now", now), ("@early", now + TimeSpan.FromDays(EarlyDays)), ("@late", late)],
            row => new Due(row.Text("id"), row.Text("name"), row.Text("project_id"), row.Text("organization_id"), row.Time("expires_at")),
            cancellationToken);
        if (due.Count == 0) return (0, 0);

        var announced = 0;
        await using (var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken))
        {
            foreach (var key in due)
            {
                var days = key.ExpiresAt <= late ? LateDays : EarlyDays;
                // Another node may have been faster; a key that was deleted meanwhile has no row.
                var isFirst = await connection.ExecuteAsync(
                    """
                    INSERT INTO api_key_notices (key_id, days, expires_at) SELECT id, @days, @expires_at FROM api_keys WHERE id = @key
                    ON CONFLICT (key_id, days, expires_at) DO NOTHING
                    """,
                    [("@key", key.Id), ("@days", days), ("@expires_at", key.ExpiresAt)], cancellationToken) == 1;
                if (!isFirst) continue;
                announced++;
                await outbox.AddAsync(connection, transaction,
                    new WebhookEvent(key.ProjectId, WebhookEvents.KeyExpiring, now, Write(key, days)) { OrganizationId = key.OrganizationId },
                    cancellationToken);
            }
            await transaction.CommitAsync(cancellationToken);
        }
        outbox.Announce();
        return (due.Count, announced);
    }

    private static byte[] Write(Due key, int days)
    {
        var output = new ArrayBufferWriter<byte>(256);
        using (var json = new Utf8JsonWriter(output))
        {
            json.WriteStartObject();
            json.WriteString("id", key.Id);
            json.WriteString("object", "key");
            json.WriteString("name", key.Name);
            json.WriteString("project_id", key.ProjectId);
            json.WriteString("organization_id", key.OrganizationId);
            json.WriteTime("expires_at", key.ExpiresAt);
            json.WriteNumber("days", days);
            json.WriteEndObject();
        }
        return output.WrittenSpan.ToArray();
    }

    private sealed record Due(string Id, string Name, string ProjectId, string OrganizationId, DateTimeOffset ExpiresAt);
}
