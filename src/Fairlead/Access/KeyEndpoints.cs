using System.Data.Common;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Storage;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Fairlead.Access;

/// <summary><c>/admin/v1/keys</c></summary>
internal sealed class KeyEndpoints(
    IStorage storage, AccessChanges changes, CallerSnapshots snapshots, ModelWarnings modelWarnings, TimeProvider time, ILogger<KeyEndpoints> logger)
{
    private const string Prefix = "key_";

    /// <summary>Long enough for a new secret to reach every client, short enough that a forgotten old one stops working.</summary>
    public const int DefaultOverlapSeconds = 24 * 60 * 60;

    public const int MaxOverlapSeconds = 30 * 24 * 60 * 60;

    /// <summary>Maximum of live secrets per key: every reload reads them, and memory holds them.</summary>
    public const int MaxLiveSecrets = 10;

    private static readonly string[] FieldsOfRotation = ["overlap_seconds"];

    public async Task ListAsync(AdminRequest request)
    {
        var page = AdminPage.Read(request, Prefix, "project_id", "organization_id");
        List<ApiKeyRow> rows;
        await using (var connection = await storage.OpenAsync(request.Cancellation))
        {
            rows = await KeyTable.ListAsync(
                connection, page.After, page.Filter("project_id"), page.Filter("organization_id"), page.Limit + 1, request.Cancellation);
        }
        var now = time.GetUtcNow();
        await AdminAnswer.WriteListAsync(request, page, rows, row => row.Id, (json, row) => KeyJson.Write(json, row, now));
    }

    public async Task GetAsync(AdminRequest request)
    {
        ApiKeyRow row;
        await using (var connection = await storage.OpenAsync(request.Cancellation))
        {
            row = await FindAsync(connection, request);
        }
        await AdminAnswer.WriteAsync(request, StatusCodes.Status200OK, json => KeyJson.Write(json, row, time.GetUtcNow()));
    }

    public async Task CreateAsync(AdminRequest request)
    {
        using var body = await AdminBody.ReadAsync(request);
        var now = time.GetUtcNow();
        var fields = new BodyFields(body.RootElement, KeyFields.OfNew, KeyFields.RefusedOfNew);
        var wanted = KeyFields.ReadNew(fields, now);
        var project = fields.Text("project_id", FieldLengths.Id);
        if (!fields.HasValue("project_id")) fields.Missing("project_id");

        await using var change = await changes.BeginAsync(request.Cancellation);
        if (project is not null && await ProjectTable.FindAsync(change.Connection, project, request.Cancellation) is null)
            fields.Invalid("project_id", "There is no project with this id.");
        fields.ThrowIfFaulty();
        if (KeyFields.GrantsAdmin(wanted.Scopes)) request.DemandAllOfAdmin("Granting scopes of administration");

        var made = ApiKeyText.New();
        var row = new ApiKeyRow
        {
            Id = Ids.New(Prefix, time), ProjectId = project!, Name = wanted.Name, Scopes = wanted.Scopes, Models = wanted.Models,
            Classes = wanted.Classes, DefaultClass = wanted.DefaultClass, Addresses = wanted.Addresses, ExpiresAt = wanted.ExpiresAt,
            ApiVersion = wanted.ApiVersion, Extensions = wanted.Extensions, BatchTokens = wanted.BatchTokens,
            BatchDelayMs = wanted.BatchDelayMs, CreatedAt = now, UpdatedAt = now,
        };
        row.Secrets.Add(new ApiKeySecretRow { PublicId = made.PublicId, KeyId = row.Id, Hash = made.Hash, CreatedAt = now });
        await KeyTable.InsertAsync(change.Connection, row, request.Cancellation);
        await change.CommitAsync(request.Cancellation);
        AdminLog.Changed(logger, "Created key", row.Id, request.Caller.KeyId);
        await snapshots.ReloadAfterChangeAsync();
        request.Context.Response.Headers.Location = PublicAddress.Of(request.Context).Reference("/admin/v1/keys/" + row.Id);
        var warnings = modelWarnings.Of(row.Models);
        await AdminAnswer.WriteAsync(request, StatusCodes.Status201Created, json => KeyJson.Write(json, row, now, made.Text, warnings));
    }

    public async Task ChangeAsync(AdminRequest request)
    {
        using var body = await AdminBody.ReadAsync(request);
        var now = time.GetUtcNow();
        await using var change = await changes.BeginAsync(request.Cancellation);
        var row = await FindToChangeAsync(change.Connection, request);
        var fields = new BodyFields(body.RootElement, KeyFields.OfChange, KeyFields.RefusedOfChange);
        var wanted = KeyFields.ReadChange(fields, row, now);
        fields.ThrowIfFaulty();
        if (KeyFields.GrantsAdmin(wanted.Scopes)) request.DemandAllOfAdmin("Granting scopes of administration");

        var differs = wanted.DiffersFrom(row);
        if (differs)
        {
            wanted.ApplyTo(row);
            row.UpdatedAt = now;
            await KeyTable.UpdateAsync(change.Connection, row, request.Cancellation);
        }
        // Also when nothing changed: a client must not hold the lock while it reads its response.
        await change.CommitAsync(request.Cancellation);
        if (differs)
        {
            AdminLog.Changed(logger, "Changed key", row.Id, request.Caller.KeyId);
            await snapshots.ReloadAfterChangeAsync();
        }
        var warnings = modelWarnings.Of(row.Models);
        await AdminAnswer.WriteAsync(request, StatusCodes.Status200OK, json => KeyJson.Write(json, row, now, warnings: warnings));
    }

    public async Task DeleteAsync(AdminRequest request)
    {
        await using var change = await changes.BeginAsync(request.Cancellation);
        var row = await FindToChangeAsync(change.Connection, request);
        await KeyTable.DeleteAsync(change.Connection, row.Id, request.Cancellation);
        await change.CommitAsync(request.Cancellation);
        AdminLog.Changed(logger, "Deleted key", row.Id, request.Caller.KeyId);
        await snapshots.ReloadAfterChangeAsync();
        AdminAnswer.NoContent(request);
    }

    /// <summary>Makes a new secret. The previous ones keep working for the overlap, with a warning.</summary>
    public async Task RotateAsync(AdminRequest request)
    {
        using var body = await AdminBody.ReadOptionalAsync(request);
        var fields = new BodyFields(body.RootElement, FieldsOfRotation);
        var overlap = TimeSpan.FromSeconds(fields.Integer("overlap_seconds", 0, MaxOverlapSeconds) ?? DefaultOverlapSeconds);
        fields.ThrowIfFaulty();

        var now = time.GetUtcNow();
        await using var change = await changes.BeginAsync(request.Cancellation);
        var row = await FindToChangeAsync(change.Connection, request);
        if (row.RevokedAt is not null)
            throw AdminAnswer.Conflict("The key has been revoked; revocation is for ever.", "Make a new key in its place.");
        if (row.ExpiresAt <= now)
        {
            throw AdminAnswer.Conflict(
                "The key has expired; a new secret would not work either.", "Set expires_at to a time to come, then rotate.");
        }

        row.Secrets.RemoveAll(secret => secret.RetiresAt <= now);
        if (overlap > TimeSpan.Zero && row.Secrets.Count >= MaxLiveSecrets)
        {
            throw AdminAnswer.Conflict(
                $"The key has {row.Secrets.Count} live secrets already.",
                "Wait until one retires, or rotate with overlap_seconds 0, which ends them all.");
        }
        var end = now + overlap;
        foreach (var secret in row.Secrets)
        {
            if (secret.RetiresAt is null || secret.RetiresAt > end) secret.RetiresAt = end;
        }
        var made = ApiKeyText.New();
        var newSecret = new ApiKeySecretRow { PublicId = made.PublicId, KeyId = row.Id, Hash = made.Hash, CreatedAt = now };
        row.Secrets.Add(newSecret);
        row.UpdatedAt = now;
        await KeyTable.RotateAsync(change.Connection, newSecret, end, now, request.Cancellation);
        await change.CommitAsync(request.Cancellation);
        AdminLog.Changed(logger, "Rotated key", row.Id, request.Caller.KeyId);
        await snapshots.ReloadAfterChangeAsync();
        await AdminAnswer.WriteAsync(request, StatusCodes.Status200OK, json => KeyJson.Write(json, row, now, made.Text));
    }

    /// <summary>Ends all secrets of a key permanently. Repeating it changes nothing: the first time is kept.</summary>
    public async Task RevokeAsync(AdminRequest request)
    {
        using var body = await AdminBody.ReadOptionalAsync(request);
        new BodyFields(body.RootElement, []).ThrowIfFaulty();

        var now = time.GetUtcNow();
        await using var change = await changes.BeginAsync(request.Cancellation);
        var row = await FindToChangeAsync(change.Connection, request);
        var isFirst = row.RevokedAt is null;
        if (isFirst)
        {
            row.RevokedAt = now;
            row.UpdatedAt = now;
            await KeyTable.RevokeAsync(change.Connection, row.Id, now, request.Cancellation);
        }
        await change.CommitAsync(request.Cancellation);
        if (isFirst)
        {
            AdminLog.Changed(logger, "Revoked key", row.Id, request.Caller.KeyId);
            await snapshots.ReloadAfterChangeAsync();
        }
        await AdminAnswer.WriteAsync(request, StatusCodes.Status200OK, json => KeyJson.Write(json, row, now));
    }

    private static async Task<ApiKeyRow> FindAsync(DbConnection connection, AdminRequest request) =>
        await KeyTable.FindAsync(connection, request.Id, request.Cancellation) ?? throw AdminAnswer.NotFound("key");

    private static async Task<ApiKeyRow> FindToChangeAsync(DbConnection connection, AdminRequest request)
    {
        var row = await FindAsync(connection, request);
        // Rotating a key returns a secret: a caller that can rotate an administrator's key becomes an administrator.
        if (KeyFields.GrantsAdmin(row.Scopes)) request.DemandAllOfAdmin("Changing a key with scopes of administration");
        return row;
    }
}
