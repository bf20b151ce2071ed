using System.Data.Common;
using Fairlead.Conversation;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;

namespace Fairlead.Access;

/// <summary>
/// Gives a store without keys its first organization, project and keys, all in one transaction. Until <see cref="ConfirmAsync"/> records
/// that the secrets were shown, every start adds new secrets to the same keys: a server that stopped before it printed them prints them at
/// its next start, and secrets that another process of the same store printed keep working.
/// </summary>
internal sealed class FirstStart(
    IStorage storage, AccessChanges changes, AdminKey adminKey, CallerSnapshots snapshots, TimeProvider time, ILogger<FirstStart> logger,
    ClientKey? clientKey = null, IAdminAudit? audit = null)
{
    private const string DefaultName = "default";

    /// <returns>Secrets that the operator has not seen, or null when there are none.</returns>
    public async Task<FirstStartKeys?> RunAsync(CancellationToken cancellationToken)
    {
        var hasClient = clientKey is { IsSet: true };
        // The operator has set both keys: no key is created and no secret is printed.
        if (hasClient && adminKey.IsSet) return null;
        await using (var connection = await storage.OpenAsync(cancellationToken))
        {
            // The usual start has nothing to do, and finds that out without the write lock.
            if (!await IsNeededAsync(connection, cancellationToken)) return null;
        }

        FirstStartKeys keys;
        await using (var change = await changes.BeginAsync(cancellationToken))
        {
            var connection = change.Connection;
            if (!await IsNeededAsync(connection, cancellationToken)) return null;
            var now = time.GetUtcNow();
            var (client, admin) = await UnannouncedAsync(connection, cancellationToken);
            if ((client is null && !hasClient) || (admin is null && !adminKey.IsSet))
            {
                var project = await DefaultProjectAsync(connection, now, cancellationToken);
                if (!hasClient) client ??= await AddKeyAsync(connection, project, "default", [.. Scopes.Default], now, cancellationToken);
                if (!adminKey.IsSet) admin ??= await AddKeyAsync(connection, project, "admin", [Scopes.AdminAll], now, cancellationToken,
                    AdminRole.Owner);
            }
            keys = new FirstStartKeys(
                client is null ? null : await AddSecretAsync(connection, client, now, cancellationToken),
                admin is null ? null : await AddSecretAsync(connection, admin, now, cancellationToken));
            await connection.ExecuteAsync("DELETE FROM first_start", [], cancellationToken);
            await connection.ExecuteAsync(
                "INSERT INTO first_start (client_key_id, admin_key_id, announced) VALUES (@client, @admin, 0)",
                [("@client", client ?? ""), ("@admin", admin)], cancellationToken);
            await change.CommitAsync(cancellationToken);
        }
        AuthenticationLog.FirstKeysCreated(logger);
        await snapshots.ReloadAsync(cancellationToken);
        return keys;
    }

    /// <summary>Records that the secrets of <see cref="RunAsync"/> were shown, so that no later start shows any.</summary>
    public async Task ConfirmAsync(CancellationToken cancellationToken)
    {
        await storage.ExecuteAsync("UPDATE first_start SET announced = 1", [], cancellationToken);
    }

    private static async Task<bool> IsNeededAsync(DbConnection connection, CancellationToken cancellationToken) =>
        await connection.Int64Async(
            "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM api_keys) OR EXISTS (SELECT 1 FROM first_start WHERE announced = 0)",
            [], cancellationToken) is not null;

    private static async Task<(string? Client, string? Admin)> UnannouncedAsync(
        DbConnection connection, CancellationToken cancellationToken) => (
        await connection.TextAsync(
            "SELECT id FROM api_keys WHERE revoked_at IS NULL AND id = (SELECT client_key_id FROM first_start WHERE announced = 0)",
            [], cancellationToken),
        await connection.TextAsync(
            "SELECT id FROM api_keys WHERE revoked_at IS NULL AND id = (SELECT admin_key_id FROM first_start WHERE announced = 0)",
            [], cancellationToken));

    private async Task<string> DefaultProjectAsync(DbConnection connection, DateTimeOffset now, CancellationToken cancellationToken)
    {
        var known = await connection.TextAsync(
            """
            SELECT p.id FROM projects p JOIN organizations o ON o.id = p.organization_id
            WHERE p.name = @name AND o.name = @name ORDER BY p.id LIMIT 1
            """,
            [("@name", DefaultName)], cancellationToken);
        if (known is not null) return known;

        var organization = new OrganizationRow { Id = Ids.New("org_", time), Name = DefaultName, CreatedAt = now, UpdatedAt = now };
        await OrganizationTable.InsertAsync(connection, organization, cancellationToken);
        var project = new ProjectRow
        {
            Id = Ids.New("proj_", time), OrganizationId = organization.Id, Name = DefaultName, CreatedAt = now, UpdatedAt = now,
        };
        await ProjectTable.InsertAsync(connection, project, cancellationToken);
        return project.Id;
    }

    private async Task<string> AddKeyAsync(
        DbConnection connection, string project, string name, string[] scopes, DateTimeOffset now, CancellationToken cancellationToken,
        AdminRole? role = null)
    {
        var row = new ApiKeyRow
        {
            Id = Ids.New("key_", time),
            ProjectId = project,
            Name = name,
            Scopes = scopes,
            Role = role is { } given ? AdminRoles.NameOf(given) : null,
            Classes = [.. CallClasses.All],
            DefaultClass = CallClasses.Default,
            Addresses = [],
            ApiVersion = ApiVersions.Current,
            Extensions = true,
            CreatedAt = now,
            UpdatedAt = now,
        };
        await KeyTable.InsertAsync(connection, row, cancellationToken);
        if (audit is not null)
        {
            var action = new AdminAction(AdminActor.OfServer, "key.create")
            {
                ResourceType = "key", ResourceId = row.Id, ProjectId = project, After = json => KeyJson.Write(json, row, now),
            };
            await audit.RecordAsync(connection, action, cancellationToken);
        }
        return row.Id;
    }

    private static async Task<string> AddSecretAsync(
        DbConnection connection, string key, DateTimeOffset now, CancellationToken cancellationToken)
    {
        var secret = ApiKeyText.New();
        var row = new ApiKeySecretRow { PublicId = secret.PublicId, KeyId = key, Hash = secret.Hash, CreatedAt = now };
        await KeyTable.InsertSecretAsync(connection, row, cancellationToken);
        return secret.Text;
    }
}
