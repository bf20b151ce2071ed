using System.Data.Common;
using Fairlead.Conversation;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;

namespace Fairlead.Access;

/// <summary>The secrets of a first start, to be shown once.</summary>
/// <param name="ClientKey">Calls models; null when <c>FAIRLEAD_CLIENT_KEY</c> does.</param>
/// <param name="AdminKey">Administers; null when <c>FAIRLEAD_ADMIN_KEY</c> does.</param>
internal sealed record FirstStartKeys(string? ClientKey, string? AdminKey)
{
    // A record prints its members; this one must not end up in a log.
    public override string ToString() => nameof(FirstStartKeys);
}

/// <summary>
/// Gives a store without keys its first organization, project and keys, all in one transaction. Until <see cref="ConfirmAsync"/> notes
/// that the secrets were shown, every start makes further secrets for the same keys: a server killed between making and
/// printing prints at its next start, and secrets that another process of the same store may just have printed keep working.
/// </summary>
internal sealed class FirstStart(IStorage storage, AdminKey adminKey, CallerSnapshots snapshots, TimeProvider time, ILogger<FirstStart> logger, ClientKey? clientKey = null)
{
    private const string DefaultName = "default";

    /// <returns>Secrets that the operator has not seen, or null when there are none.</returns>
    public async Task<FirstStartKeys?> RunAsync(CancellationToken cancellationToken)
    {
        var hasClient = clientKey is { IsSet: true };
        // Both are the operator's own: there is nothing to make, and nothing secret to print.
        if (hasClient && adminKey.IsSet) return null;
        FirstStartKeys keys;
        await using (var connection = await storage.OpenAsync(cancellationToken))
        {
            // The usual start learns here, without the write lock, that there is nothing to do.
            if (!await IsNeededAsync(connection, null, cancellationToken)) return null;

            await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
            await storage.Sql.LockAsync(transaction, StorageLock.Access, cancellationToken);
            if (!await IsNeededAsync(connection, transaction, cancellationToken)) return null;
            var now = time.GetUtcNow().ToUnixTimeMilliseconds();
            var (client, admin) = await UnannouncedAsync(connection, transaction, cancellationToken);
            if ((client is null && !hasClient) || (admin is null && !adminKey.IsSet))
            {
                var project = await DefaultProjectAsync(connection, transaction, now, cancellationToken);
                if (!hasClient) client ??= await AddKeyAsync(connection, transaction, project, "default", [.. Scopes.Default], now, cancellationToken);
                if (!adminKey.IsSet) admin ??= await AddKeyAsync(connection, transaction, project, "admin", [Scopes.AdminAll], now, cancellationToken);
            }
            keys = new FirstStartKeys(
                client is null ? null : await AddSecretAsync(connection, transaction, client, now, cancellationToken),
                admin is null ? null : await AddSecretAsync(connection, transaction, admin, now, cancellationToken));
            await ExecuteAsync(connection, transaction, "DELETE FROM first_start", cancellationToken);
            await ExecuteAsync(connection, transaction, "INSERT INTO first_start (client_key_id, admin_key_id, announced) VALUES (@client, @admin, 0)", cancellationToken,
                ("@client", client ?? ""), ("@admin", admin));
            await transaction.CommitAsync(cancellationToken);
        }
        AuthenticationLog.FirstKeysMade(logger);
        await snapshots.ReloadAsync(cancellationToken);
        return keys;
    }

    /// <summary>Notes that the secrets of <see cref="RunAsync"/> were shown, so that no later start shows any.</summary>
    public async Task ConfirmAsync(CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await ExecuteAsync(connection, null, "UPDATE first_start SET announced = 1", cancellationToken);
    }

    private static async Task<bool> IsNeededAsync(DbConnection connection, DbTransaction? transaction, CancellationToken cancellationToken) =>
        await ScalarAsync(connection, transaction, "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM api_keys) OR EXISTS (SELECT 1 FROM first_start WHERE announced = 0)", cancellationToken) is not null;

    private static async Task<(string? Client, string? Admin)> UnannouncedAsync(DbConnection connection, DbTransaction transaction, CancellationToken cancellationToken) => (
        (string?)await ScalarAsync(connection, transaction, "SELECT id FROM api_keys WHERE revoked_at IS NULL AND id = (SELECT client_key_id FROM first_start WHERE announced = 0)", cancellationToken),
        (string?)await ScalarAsync(connection, transaction, "SELECT id FROM api_keys WHERE revoked_at IS NULL AND id = (SELECT admin_key_id FROM first_start WHERE announced = 0)", cancellationToken));

    private async Task<string> DefaultProjectAsync(DbConnection connection, DbTransaction transaction, long now, CancellationToken cancellationToken)
    {
        var known = await ScalarAsync(connection, transaction,
            "SELECT p.id FROM projects p JOIN organizations o ON o.id = p.organization_id WHERE p.name = @name AND o.name = @name ORDER BY p.id LIMIT 1", cancellationToken, ("@name", DefaultName));
        if (known is string id) return id;

        var organization = Ids.New("org_", time);
        await ExecuteAsync(connection, transaction, "INSERT INTO organizations (id, name, created_at, updated_at) VALUES (@id, @name, @now, @now)", cancellationToken,
            ("@id", organization), ("@name", DefaultName), ("@now", now));
        var project = Ids.New("proj_", time);
        await ExecuteAsync(connection, transaction, "INSERT INTO projects (id, organization_id, name, created_at, updated_at) VALUES (@id, @organization, @name, @now, @now)", cancellationToken,
            ("@id", project), ("@organization", organization), ("@name", DefaultName), ("@now", now));
        return project;
    }

    private async Task<string> AddKeyAsync(DbConnection connection, DbTransaction transaction, string project, string name, string[] scopes, long now, CancellationToken cancellationToken)
    {
        var id = Ids.New("key_", time);
        await ExecuteAsync(connection, transaction, """
            INSERT INTO api_keys (id, project_id, name, scopes, classes, default_class, addresses, api_version, extensions, created_at, updated_at)
            VALUES (@id, @project, @name, @scopes, @classes, @default_class, '[]', @api_version, 1, @now, @now)
            """, cancellationToken,
            ("@id", id), ("@project", project), ("@name", name), ("@scopes", StringList.Write(scopes)), ("@classes", StringList.Write([.. CallClasses.All])),
            ("@default_class", CallClasses.Default), ("@api_version", ApiVersions.Current), ("@now", now));
        return id;
    }

    private static async Task<string> AddSecretAsync(DbConnection connection, DbTransaction transaction, string key, long now, CancellationToken cancellationToken)
    {
        var made = ApiKeyText.New();
        await ExecuteAsync(connection, transaction, "INSERT INTO api_key_secrets (public_id, key_id, hash, created_at) VALUES (@public_id, @key, @hash, @now)", cancellationToken,
            ("@public_id", made.PublicId), ("@key", key), ("@hash", made.Hash), ("@now", now));
        return made.Text;
    }

    private static async Task<object?> ScalarAsync(DbConnection connection, DbTransaction? transaction, string sql, CancellationToken cancellationToken, params (string Name, object? Value)[] parameters)
    {
        await using var command = CommandFor(connection, transaction, sql, parameters);
        return await command.ExecuteScalarAsync(cancellationToken) is { } value and not DBNull ? value : null;
    }

    private static async Task ExecuteAsync(DbConnection connection, DbTransaction? transaction, string sql, CancellationToken cancellationToken, params (string Name, object? Value)[] parameters)
    {
        await using var command = CommandFor(connection, transaction, sql, parameters);
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    private static DbCommand CommandFor(DbConnection connection, DbTransaction? transaction, string sql, (string Name, object? Value)[] parameters)
    {
        var command = connection.CreateCommand();
        command.Transaction = transaction;
#pragma warning disable CA2100 // The statements are constants of this class.
        command.CommandText = sql;
#pragma warning restore CA2100
        foreach (var (name, value) in parameters) command.AddParameter(name, value);
        return command;
    }
}
