using System.Collections.Frozen;
using System.Net;
using System.Text.Json;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Fairlead.Streaming;
using Microsoft.Extensions.Logging;

namespace Fairlead.Access;

/// <summary>Reads all projects, keys and secrets with one statement, so that the result is one consistent state. Thread-safe.</summary>
internal sealed class CallerSnapshotReader(
    IStorage storage, ILogger<CallerSnapshotReader> logger, IContentRecordings? recordings = null)
{
    private const string NoRevision = "The table access_revision is empty; restore the database from a backup.";

    private const string SelectAll = """
        SELECT r.revision, s.public_id, s.hash, s.retires_at,
               k.id AS key_id, k.name AS key_name, k.scopes, k.models, k.classes, k.default_class, k.addresses, k.expires_at, k.api_version,
               k.extensions, k.role, k.role_organization_id, k.batch_tokens, k.batch_delay_ms, k.rescue, k.cache AS key_cache, k.limits AS key_limits, k.revoked_at,
               k.audit_content AS key_audit_content, p.audit_content AS project_audit_content,
               o.audit_content AS organization_audit_content,
               p.id AS project_id, p.name AS project_name, p.cache AS project_cache, p.limits AS project_limits,
               o.id AS organization_id, o.name AS organization_name, o.limits AS organization_limits, o.weight_millionths,
               o.share_across_organizations
        FROM access_revision r
        LEFT JOIN projects p ON 1 = 1
        LEFT JOIN organizations o ON o.id = p.organization_id
        LEFT JOIN api_keys k ON k.project_id = p.id
        LEFT JOIN api_key_secrets s ON s.key_id = k.id
        """;

    private volatile SharedLimits _limits = SharedLimits.Empty;
    private volatile Dictionary<string, KeyUse> _uses = [];

    /// <summary>Another object if callers that were read before must be read again although the store has not changed.</summary>
    public object? Version => recordings?.Version;

    public async Task<long> ReadRevisionAsync(CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        return await connection.Int64Async("SELECT revision FROM access_revision", [], cancellationToken)
            ?? throw new SchemaException(NoRevision);
    }

    public async Task<CallerSnapshot> ReadAsync(CancellationToken cancellationToken)
    {
        var sets = new Dictionary<string, FrozenSet<string>>(StringComparer.Ordinal);
        var limits = _limits.Next();
        var uses = new Dictionary<string, KeyUse>(StringComparer.Ordinal);
        await using var connection = await storage.OpenAsync(cancellationToken);
        var projects = new Dictionary<string, KnownProject?>(StringComparer.Ordinal);
        var rows = await connection.QueryAsync(SelectAll, [], row => Read(row, sets, limits, projects, uses), cancellationToken);
        if (rows.Count == 0) throw new SchemaException(NoRevision);

        var secrets = new Dictionary<string, KnownSecret>(StringComparer.Ordinal);
        foreach (var row in rows)
        {
            if (row.PublicId is not null && row.Secret is not null) secrets[row.PublicId] = row.Secret;
        }
        _limits = limits;
        _uses = uses;
        return new CallerSnapshot(rows[^1].Revision, secrets, projects.Values.OfType<KnownProject>());
    }

    private SnapshotRow Read(
        SqlRow row, Dictionary<string, FrozenSet<string>> sets, SharedLimits limits, Dictionary<string, KnownProject?> projects,
        Dictionary<string, KeyUse> uses)
    {
        if (!row.IsNull("project_id") && row.Text("project_id") is var id && !projects.ContainsKey(id))
            projects[id] = ReadProject(row, limits);
        return new(row.Int64("revision"), row.TextOrNull("public_id"), ReadSecret(row, sets, limits, uses));
    }

    // A row that was edited by hand disables its own callers only.
    private KnownProject? ReadProject(SqlRow row, SharedLimits limits)
    {
        try
        {
            return new KnownProject
            {
                Id = row.Text("project_id"),
                Name = row.Text("project_name"),
                OrganizationId = row.Text("organization_id"),
                OrganizationName = row.Text("organization_name"),
                Cache = CacheModes.Find(row.TextOrNull("project_cache")),
                OrganizationLimits = limits.Of(row.TextOrNull("organization_limits")),
                Limits = limits.Of(row.TextOrNull("project_limits")),
                AuditContent = ContentOfProject(row),
                Recording = recordings?.Of(ContentOfProject(row)),
                SharesAcrossOrganizations = row.Bool("share_across_organizations"),
                OrganizationWeight = Weight(row.Int64("weight_millionths")),
            };
        }
        catch (Exception exception) when (exception is JsonException or FormatException or InvalidCastException or ArgumentException)
        {
            return null;
        }
    }

    private KnownSecret? ReadSecret(
        SqlRow row, Dictionary<string, FrozenSet<string>> sets, SharedLimits limits, Dictionary<string, KeyUse> uses)
    {
        if (row.IsNull("public_id") || row.IsNull("key_id") || row.IsNull("project_id") || row.IsNull("organization_id")) return null;
        try
        {
            return ReadKnown(row, sets, limits, UseOf(row.Text("key_id"), uses));
        }
        catch (Exception exception) when (exception is JsonException or FormatException or InvalidCastException or ArgumentException)
        {
            // A row that was edited by hand disables its own key only.
            AuthenticationLog.KeyUnreadable(logger, row.Text("key_id"), exception.Message);
            return null;
        }
    }

    private KnownSecret ReadKnown(SqlRow row, Dictionary<string, FrozenSet<string>> sets, SharedLimits limits, KeyUse use) => new(
        row.Bytes("hash"),
        new Caller
        {
            KeyId = row.Text("key_id"),
            KeyName = row.Text("key_name"),
            Scopes = Set(sets, row.Text("scopes")),
            Admin = AdminGrant.Of(row.TextOrNull("role"), row.TextOrNull("role_organization_id")),
            Models = row.TextOrNull("models") is { } models ? Set(sets, models) : null,
            Classes = Set(sets, row.Text("classes")),
            DefaultClass = row.Text("default_class"),
            Addresses = Array.ConvertAll(StringList.Read(row.Text("addresses")), IPNetwork.Parse),
            ExpiresAt = row.TimeOrNull("expires_at"),
            ApiVersion = row.Text("api_version"),
            Extensions = row.Bool("extensions"),
            ProjectId = row.Text("project_id"),
            ProjectName = row.Text("project_name"),
            OrganizationId = row.Text("organization_id"),
            OrganizationName = row.Text("organization_name"),
            BatchTokens = row.Int64OrNull("batch_tokens") is { } tokens ? (int)Math.Clamp(tokens, 1, BatchSettings.MaxTokens) : null,
            BatchDelay = row.Int64OrNull("batch_delay_ms") is { } delay
                ? TimeSpan.FromMilliseconds(Math.Clamp(delay, 0, BatchSettings.MaxDelayMs))
                : null,
            Rescue = RescueModes.Parse(row.TextOrNull("rescue")),
            Cache = CacheModes.Find(row.TextOrNull("key_cache")) ?? CacheModes.Find(row.TextOrNull("project_cache")),
            AuditContent = ContentOfKey(row),
            Recording = recordings?.Of(ContentOfKey(row)),
            OrganizationLimits = limits.Of(row.TextOrNull("organization_limits")),
            ProjectLimits = limits.Of(row.TextOrNull("project_limits")),
            KeyLimits = limits.Of(row.TextOrNull("key_limits")),
            SharesAcrossOrganizations = row.Bool("share_across_organizations"),
            OrganizationWeight = Weight(row.Int64("weight_millionths")),
            SecretRetiresAt = row.TimeOrNull("retires_at"),
        },
        row.TimeOrNull("revoked_at"),
        use);

    private static AuditContent? ContentOfProject(SqlRow row) => AuditContents.Strictest(
        AuditContents.Find(row.TextOrNull("organization_audit_content")), AuditContents.Find(row.TextOrNull("project_audit_content")));

    private static AuditContent? ContentOfKey(SqlRow row) =>
        AuditContents.Strictest(ContentOfProject(row), AuditContents.Find(row.TextOrNull("key_audit_content")));

    // The same object as in the snapshot before, whose calls may still note their use.
    private KeyUse UseOf(string keyId, Dictionary<string, KeyUse> uses)
    {
        if (!uses.TryGetValue(keyId, out var use)) uses[keyId] = use = _uses.GetValueOrDefault(keyId) ?? new KeyUse();
        return use;
    }

    // Most keys of a server have the same few lists, so equal lists share one set.
    private static FrozenSet<string> Set(Dictionary<string, FrozenSet<string>> sets, string json)
    {
        if (!sets.TryGetValue(json, out var set)) sets[json] = set = StringList.Read(json).ToFrozenSet(StringComparer.Ordinal);
        return set;
    }

    private static decimal Weight(long millionths) => LimitNumber.Weight.Accepts(millionths)
        ? LimitNumber.Weight.ToDecimal(millionths) : throw new FormatException($"The weight must be {LimitNumber.Weight.Expected}.");

    private sealed record SnapshotRow(long Revision, string? PublicId, KnownSecret? Secret);
}
