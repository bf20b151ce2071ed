using System.Collections.Frozen;
using System.Data.Common;
using System.Net;
using System.Text.Json;
using Fairlead.Storage;
using Fairlead.Streaming;
using Microsoft.Extensions.Logging;

namespace Fairlead.Access;

/// <summary>
/// Reads all secrets with one statement, so that what it returns is one consistent state. Plain SQL: it stands on the path from
/// start to first answer, where building EF Core's model would be most of the time.
/// </summary>
internal sealed class CallerSnapshotReader(IStorage storage, ILogger<CallerSnapshotReader> logger)
{
    private const string Everything = """
        SELECT r.revision, s.public_id, s.hash, s.retires_at,
               k.id, k.name, k.scopes, k.models, k.classes, k.default_class, k.addresses, k.expires_at, k.api_version, k.extensions, k.revoked_at,
               p.id, p.name, o.id, o.name, k.batch_tokens, k.batch_delay_ms
        FROM access_revision r
        LEFT JOIN api_key_secrets s ON 1 = 1
        LEFT JOIN api_keys k ON k.id = s.key_id
        LEFT JOIN projects p ON p.id = k.project_id
        LEFT JOIN organizations o ON o.id = p.organization_id
        """;

    public async Task<long> ReadRevisionAsync(CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = "SELECT revision FROM access_revision";
        return (long)(await command.ExecuteScalarAsync(cancellationToken) ?? throw new SchemaException("The table access_revision is empty; restore the database from a backup."));
    }

    public async Task<CallerSnapshot> ReadAsync(CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = Everything;
        var secrets = new Dictionary<string, KnownSecret>(StringComparer.Ordinal);
        var sets = new Dictionary<string, FrozenSet<string>>(StringComparer.Ordinal);
        long? revision = null;
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
        {
            revision = reader.GetInt64(0);
            if (reader.IsDBNull(1) || reader.IsDBNull(4) || reader.IsDBNull(15) || reader.IsDBNull(17)) continue;
            try
            {
                secrets[reader.GetString(1)] = Read(reader, sets);
            }
            catch (Exception fault) when (fault is JsonException or FormatException or InvalidCastException or ArgumentException)
            {
                // A row edited by hand locks its own key out, not everybody's.
                AuthenticationLog.KeyUnreadable(logger, reader.GetString(4), fault.Message);
            }
        }
        return new CallerSnapshot(revision ?? throw new SchemaException("The table access_revision is empty; restore the database from a backup."), secrets);
    }

    private static KnownSecret Read(DbDataReader row, Dictionary<string, FrozenSet<string>> sets) => new(
        row.GetFieldValue<byte[]>(2),
        new Caller
        {
            KeyId = row.GetString(4),
            KeyName = row.GetString(5),
            Scopes = Set(sets, row.GetString(6)),
            Models = row.IsDBNull(7) ? null : Set(sets, row.GetString(7)),
            Classes = Set(sets, row.GetString(8)),
            DefaultClass = row.GetString(9),
            Addresses = Array.ConvertAll(StringList.Read(row.GetString(10)), IPNetwork.Parse),
            ExpiresAt = Time(row, 11),
            ApiVersion = row.GetString(12),
            Extensions = row.GetInt64(13) != 0,
            ProjectId = row.GetString(15),
            ProjectName = row.GetString(16),
            OrganizationId = row.GetString(17),
            OrganizationName = row.GetString(18),
            BatchTokens = row.IsDBNull(19) ? null : (int)Math.Clamp(row.GetInt64(19), 1, BatchSettings.MaxTokens),
            BatchDelay = row.IsDBNull(20) ? null : TimeSpan.FromMilliseconds(Math.Clamp(row.GetInt64(20), 0, BatchSettings.MaxDelayMs)),
            SecretRetiresAt = Time(row, 3),
        },
        Time(row, 14));

    // Most keys of a server have the same few lists: one set serves them all.
    private static FrozenSet<string> Set(Dictionary<string, FrozenSet<string>> sets, string json)
    {
        if (!sets.TryGetValue(json, out var set)) sets[json] = set = StringList.Read(json).ToFrozenSet(StringComparer.Ordinal);
        return set;
    }

    private static DateTimeOffset? Time(DbDataReader row, int column) =>
        row.IsDBNull(column) ? null : DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(column));
}
