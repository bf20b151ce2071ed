using System.Data.Common;
using System.Globalization;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;

namespace Fairlead.Access;

/// <summary><c>/admin/v1/keys</c></summary>
internal sealed class KeyEndpoints(
    IStorage storage, AccessChanges changes, CallerSnapshots snapshots, ModelWarnings modelWarnings, IAdminAudit audit, TimeProvider time,
    ILogger<KeyEndpoints> logger) : IAdminEndpoints
{
    private const string IdPrefix = "key_";
    private const string Path = "/keys";
    private const string UnusedSince = "unused_since";

    /// <summary>Long enough for a new secret to reach every client, short enough that a forgotten old one stops working.</summary>
    public const int DefaultOverlapSeconds = 24 * 60 * 60;

    public const int MaxOverlapSeconds = 30 * 24 * 60 * 60;

    /// <summary>Maximum of live secrets per key: every reload reads them, and memory holds them.</summary>
    public const int MaxLiveSecrets = 10;

    private static readonly FieldSet RotationFields = new(["overlap_seconds"]);

    public void Map(EndpointRoutes read, EndpointRoutes write)
    {
        (read, write) = (read.OfOrganizations, write.OfOrganizations);
        read.Read(Path, ListAsync);
        read.Read(Path + "/{id}", GetAsync);
        write.Post(Path, CreateAsync);
        write.Patch(Path + "/{id}", ChangeAsync);
        write.Delete(Path + "/{id}", DeleteAsync);
        write.Post(Path + "/{id}/rotate", RotateAsync);
        write.Post(Path + "/{id}/revoke", RevokeAsync);
    }

    private async Task<EndpointResult> ListAsync(EndpointRequest request)
    {
        var page = ListPage.Read(request, IdPrefix, "project_id", "organization_id", UnusedSince);
        var unusedSince = ReadUnusedSince(page.Filter(UnusedSince));
        await using var connection = await storage.OpenAsync(request.Cancellation);
        var rows = await KeyTable.ListAsync(
            connection, page.After, page.Filter("project_id"), request.Caller.Reach.Narrow(page.Filter("organization_id")), page.Limit + 1,
            request.Cancellation, unusedSince);
        var now = time.GetUtcNow();
        return page.ToResult(rows, row => row.Id, (json, row) => KeyJson.Write(json, row, now));
    }

    private static DateTimeOffset? ReadUnusedSince(string? text)
    {
        if (text is null) return null;
        // A plus sign that is not percent-encoded arrives as a space.
        if (DateTimeOffset.TryParseExact(text.Replace(' ', '+'), ["yyyy-MM-dd", "yyyy-MM-ddTHH:mm:ssK"], CultureInfo.InvariantCulture,
            DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var time) && time.Year is >= 1970 and <= 9000)
        {
            return time;
        }
        throw new GatewayErrorException(GatewayError.Invalid(UnusedSince,
            $"The parameter '{UnusedSince}' must be a time such as 2026-11-23T08:00:00Z or a date such as 2026-11-23."));
    }

    private async Task<EndpointResult> GetAsync(EndpointRequest request)
    {
        await using var connection = await storage.OpenAsync(request.Cancellation);
        var row = await FindAsync(connection, request);
        return EndpointResult.Json(json => KeyJson.Write(json, row, time.GetUtcNow()));
    }

    private async Task<EndpointResult> CreateAsync(EndpointRequest request)
    {
        using var body = await request.ReadJsonAsync();
        var now = time.GetUtcNow();
        var fields = new BodyFields(body.RootElement, KeyFields.New);
        var wanted = KeyFields.ReadNew(fields, now);
        var project = fields.RequiredText("project_id", FieldLengths.Id);

        await using var change = await changes.BeginAsync(request.Cancellation);
        if (project is not null)
        {
            var owner = await ProjectTable.FindAsync(change.Connection, project, request.Cancellation);
            if (owner is null || !request.Caller.Reach.Sees(owner.OrganizationId))
                fields.Invalid("project_id", "There is no project with this id.");
            else await CheckRoleAsync(change.Connection, request, fields, wanted, owner.OrganizationId);
        }
        fields.ThrowIfInvalid();
        AdminRights.Require(request.Caller, wanted.Admin, "Creating a key");
        AdminRights.RequireBounds(request.Caller, wanted.Admin, wanted.ExpiresAt, wanted.Addresses, "Creating a key");

        var secret = ApiKeyText.New();
        var row = wanted.ToRow(Ids.New(IdPrefix, time), project!, now);
        row.Secrets.Add(new ApiKeySecretRow { PublicId = secret.PublicId, KeyId = row.Id, Hash = secret.Hash, CreatedAt = now });
        await KeyTable.InsertAsync(change.Connection, row, request.Cancellation);
        await RecordAsync(change.Connection, request, "create", row, null, json => KeyJson.Write(json, row, now));
        await change.CommitAsync(request.Cancellation);
        audit.Committed();
        AdminLog.Changed(logger, "Created key", row.Id, request.Caller.KeyId);
        await snapshots.ReloadAfterChangeAsync();
        var warnings = modelWarnings.Of(row.Models);
        return EndpointResult.Created(request.Site, $"{AdminApi.Root}{Path}/{row.Id}",
            json => KeyJson.Write(json, row, now, secret.Text, warnings));
    }

    private async Task<EndpointResult> ChangeAsync(EndpointRequest request)
    {
        using var body = await request.ReadJsonAsync();
        var now = time.GetUtcNow();
        await using var change = await changes.BeginAsync(request.Cancellation);
        var row = await FindToChangeAsync(change.Connection, request);
        var fields = new BodyFields(body.RootElement, KeyFields.Change);
        var wanted = KeyFields.ReadChange(fields, row, now);
        if (wanted.Admin != row.Admin || wanted.Role != row.Role)
        {
            var owner = await ProjectTable.FindAsync(change.Connection, row.ProjectId, request.Cancellation);
            await CheckRoleAsync(change.Connection, request, fields, wanted, owner!.OrganizationId);
        }
        fields.ThrowIfInvalid();
        AdminRights.Require(request.Caller, wanted.Admin, "Changing a key to one");
        if (wanted.Loosens(row))
            AdminRights.RequireBounds(request.Caller, wanted.Admin, wanted.ExpiresAt, wanted.Addresses, "Changing a key to one");

        var differs = wanted.DiffersFrom(row);
        if (differs)
        {
            var before = AdminAction.Keep(json => KeyJson.Write(json, row, now));
            wanted.ApplyTo(row);
            row.UpdatedAt = now;
            await KeyTable.UpdateAsync(change.Connection, row, request.Cancellation);
            await RecordAsync(change.Connection, request, "update", row, before, json => KeyJson.Write(json, row, now));
        }
        // Also when nothing changed: a client must not hold the lock while it reads its response.
        await change.CommitAsync(request.Cancellation);
        if (differs)
        {
            audit.Committed();
            AdminLog.Changed(logger, "Changed key", row.Id, request.Caller.KeyId);
            await snapshots.ReloadAfterChangeAsync();
        }
        var warnings = modelWarnings.Of(row.Models);
        return EndpointResult.Json(json => KeyJson.Write(json, row, now, warnings: warnings));
    }

    private async Task<EndpointResult> DeleteAsync(EndpointRequest request)
    {
        await using var change = await changes.BeginAsync(request.Cancellation);
        var row = await FindToChangeAsync(change.Connection, request);
        await KeyTable.DeleteAsync(change.Connection, row.Id, request.Cancellation);
        await RecordAsync(change.Connection, request, "delete", row, json => KeyJson.Write(json, row, time.GetUtcNow()), null);
        await change.CommitAsync(request.Cancellation);
        audit.Committed();
        AdminLog.Changed(logger, "Deleted key", row.Id, request.Caller.KeyId);
        await snapshots.ReloadAfterChangeAsync();
        return EndpointResult.NoContent();
    }

    /// <summary>Creates a new secret. The previous ones keep working for the overlap, with a warning.</summary>
    private async Task<EndpointResult> RotateAsync(EndpointRequest request)
    {
        using var body = await request.ReadOptionalJsonAsync();
        var fields = new BodyFields(body.RootElement, RotationFields);
        var overlap = TimeSpan.FromSeconds(fields.Integer("overlap_seconds", 0, MaxOverlapSeconds) ?? DefaultOverlapSeconds);
        fields.ThrowIfInvalid();

        var now = time.GetUtcNow();
        await using var change = await changes.BeginAsync(request.Cancellation);
        var row = await FindToChangeAsync(change.Connection, request);
        // The caller receives the new secret.
        AdminRights.RequireBounds(request.Caller, row.Admin, row.ExpiresAt, row.Addresses, "Rotating a key");
        if (row.RevokedAt is not null)
            throw EndpointErrors.Conflict("The key has been revoked, which is permanent.", "Create a new key instead.");
        if (row.ExpiresAt <= now)
        {
            throw EndpointErrors.Conflict(
                "The key has expired; a new secret would not work either.", "Set expires_at to a time in the future, then rotate.");
        }

        var before = AdminAction.Keep(json => KeyJson.Write(json, row, now));
        row.Secrets.RemoveAll(known => known.RetiresAt <= now);
        if (overlap > TimeSpan.Zero && row.Secrets.Count >= MaxLiveSecrets)
        {
            throw EndpointErrors.Conflict(
                $"The key has {row.Secrets.Count} live secrets already.",
                "Wait until one retires, or rotate with overlap_seconds 0, which ends them all.");
        }
        var end = now + overlap;
        foreach (var known in row.Secrets)
        {
            if (known.RetiresAt is null || known.RetiresAt > end) known.RetiresAt = end;
        }
        var secret = ApiKeyText.New();
        var newSecret = new ApiKeySecretRow { PublicId = secret.PublicId, KeyId = row.Id, Hash = secret.Hash, CreatedAt = now };
        row.Secrets.Add(newSecret);
        row.UpdatedAt = now;
        await KeyTable.RotateAsync(change.Connection, newSecret, end, now, request.Cancellation);
        await RecordAsync(change.Connection, request, "rotate", row, before, json => KeyJson.Write(json, row, now));
        await change.CommitAsync(request.Cancellation);
        audit.Committed();
        AdminLog.Changed(logger, "Rotated key", row.Id, request.Caller.KeyId);
        await snapshots.ReloadAfterChangeAsync();
        return EndpointResult.Json(json => KeyJson.Write(json, row, now, secret.Text));
    }

    /// <summary>Ends all secrets of a key permanently. Repeating it changes nothing: the first time is kept.</summary>
    private async Task<EndpointResult> RevokeAsync(EndpointRequest request)
    {
        using var body = await request.ReadOptionalJsonAsync();
        new BodyFields(body.RootElement, FieldSet.None).ThrowIfInvalid();

        var now = time.GetUtcNow();
        await using var change = await changes.BeginAsync(request.Cancellation);
        var row = await FindToChangeAsync(change.Connection, request);
        var isFirst = row.RevokedAt is null;
        if (isFirst)
        {
            var before = AdminAction.Keep(json => KeyJson.Write(json, row, now));
            row.RevokedAt = now;
            row.UpdatedAt = now;
            await KeyTable.RevokeAsync(change.Connection, row.Id, now, request.Cancellation);
            await RecordAsync(change.Connection, request, "revoke", row, before, json => KeyJson.Write(json, row, now));
        }
        await change.CommitAsync(request.Cancellation);
        if (isFirst)
        {
            audit.Committed();
            AdminLog.Changed(logger, "Revoked key", row.Id, request.Caller.KeyId);
            await snapshots.ReloadAfterChangeAsync();
        }
        return EndpointResult.Json(json => KeyJson.Write(json, row, now));
    }

    private async Task RecordAsync(
        DbConnection connection, EndpointRequest request, string verb, ApiKeyRow row, Action<Utf8JsonWriter>? before,
        Action<Utf8JsonWriter>? after)
    {
        var project = await ProjectTable.FindAsync(connection, row.ProjectId, request.Cancellation);
        var action = new AdminAction(request.Actor, "key." + verb)
        {
            ResourceType = "key", ResourceId = row.Id, OrganizationId = project?.OrganizationId, ProjectId = row.ProjectId,
            Before = before, After = after,
        };
        await audit.RecordAsync(connection, action, request.Cancellation);
    }

    /// <summary>Completes the organization of the role, and adds an error if the caller may not see it, or if it does not exist.</summary>
    private static async Task CheckRoleAsync(
        DbConnection connection, EndpointRequest request, BodyFields fields, KeyFields wanted, string ownOrganization)
    {
        if (AdminRoles.Find(wanted.Role) != AdminRole.OrganizationAdmin) return;
        if (wanted.RoleOrganizationId is not { } id) wanted.AdministerOrganization(ownOrganization);
        else if (!request.Caller.Reach.Sees(id) || await OrganizationTable.FindAsync(connection, id, request.Cancellation) is null)
            fields.Invalid("organization_id", "There is no organization with this id.");
    }

    /// <summary>The key, if the caller sees its organization.</summary>
    private static async Task<ApiKeyRow> FindAsync(DbConnection connection, EndpointRequest request)
    {
        var row = await KeyTable.FindAsync(connection, request.Id, request.Cancellation);
        var reach = request.Caller.Reach;
        if (row is not null && !reach.IsAll)
        {
            var project = await ProjectTable.FindAsync(connection, row.ProjectId, request.Cancellation);
            if (!reach.Sees(project?.OrganizationId)) row = null;
        }
        return row ?? throw EndpointErrors.NotFound("key");
    }

    private static async Task<ApiKeyRow> FindToChangeAsync(DbConnection connection, EndpointRequest request)
    {
        var row = await FindAsync(connection, request);
        AdminRights.Require(request.Caller, row.Admin, "Changing a key");
        return row;
    }
}
