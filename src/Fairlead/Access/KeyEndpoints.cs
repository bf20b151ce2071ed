using Fairlead.Conversation;
using Fairlead.Http;
using Microsoft.AspNetCore.Http;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Logging;

namespace Fairlead.Access;

/// <summary><c>/admin/v1/keys</c></summary>
internal sealed class KeyEndpoints(IDbContextFactory<FairleadDbContext> contexts, CallerSnapshots snapshots, ModelWarnings modelWarnings, TimeProvider time, ILogger<KeyEndpoints> logger)
{
    private const string Prefix = "key_";

    /// <summary>Long enough for a deployment to reach every client, short enough that a forgotten secret dies.</summary>
    public const int DefaultOverlapSeconds = 24 * 60 * 60;

    public const int MaxOverlapSeconds = 30 * 24 * 60 * 60;

    /// <summary>Live secrets of one key; every call's look-up and every reload carry them.</summary>
    public const int MaxLiveSecrets = 10;

    private static readonly string[] FieldsOfRotation = ["overlap_seconds"];

    public async Task ListAsync(AdminRequest request)
    {
        var page = AdminPage.Read(request, Prefix, "project_id", "organization_id");
        await using var context = await contexts.CreateDbContextAsync(request.Cancellation);
        var query = context.ApiKeys.AsNoTracking().Include(row => row.Secrets).Where(row => row.Id.CompareTo(page.After) > 0);
        if (page.Filter("project_id") is { } project) query = query.Where(row => row.ProjectId == project);
        if (page.Filter("organization_id") is { } organization)
            query = query.Where(row => context.Projects.Any(project => project.Id == row.ProjectId && project.OrganizationId == organization));
        var rows = await query.OrderBy(row => row.Id).Take(page.Limit + 1).ToListAsync(request.Cancellation);
        var now = time.GetUtcNow();
        await AdminAnswer.WriteListAsync(request, page, rows, row => row.Id, (json, row) => KeyJson.Write(json, row, now));
    }

    public async Task GetAsync(AdminRequest request)
    {
        await using var context = await contexts.CreateDbContextAsync(request.Cancellation);
        var row = await FindAsync(context, request);
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

        await using var context = await contexts.CreateDbContextAsync(request.Cancellation);
        await using var transaction = await context.BeginChangeAsync(request.Cancellation);
        if (project is not null && !await context.Projects.AnyAsync(row => row.Id == project, request.Cancellation))
            fields.Invalid("project_id", "There is no project with this id.");
        fields.ThrowIfFaulty();
        if (KeyFields.GrantsAdmin(wanted.Scopes)) request.DemandAllOfAdmin("Granting scopes of administration");

        var made = ApiKeyText.New();
        var row = new ApiKeyRow
        {
            Id = Ids.New(Prefix, time), ProjectId = project!, Name = wanted.Name, Scopes = wanted.Scopes, Models = wanted.Models, Classes = wanted.Classes,
            DefaultClass = wanted.DefaultClass, Addresses = wanted.Addresses, ExpiresAt = wanted.ExpiresAt, ApiVersion = wanted.ApiVersion, Extensions = wanted.Extensions,
            BatchTokens = wanted.BatchTokens, BatchDelayMs = wanted.BatchDelayMs, CreatedAt = now, UpdatedAt = now,
        };
        row.Secrets.Add(new ApiKeySecretRow { PublicId = made.PublicId, KeyId = row.Id, Hash = made.Hash, CreatedAt = now });
        context.ApiKeys.Add(row);
        await context.SaveChangesAsync(request.Cancellation);
        await transaction.CommitAsync(request.Cancellation);
        AdminLog.Changed(logger, "Created key", row.Id, request.Caller.KeyId);
        await snapshots.ReloadAfterChangeAsync();
        request.Context.Response.Headers.Location = PublicAddress.Of(request.Context).Reference("/admin/v1/keys/" + row.Id);
        await AdminAnswer.WriteAsync(request, StatusCodes.Status201Created, json => KeyJson.Write(json, row, now, made.Text, modelWarnings.Of(row.Models)));
    }

    public async Task ChangeAsync(AdminRequest request)
    {
        using var body = await AdminBody.ReadAsync(request);
        var now = time.GetUtcNow();
        await using var context = await contexts.CreateDbContextAsync(request.Cancellation);
        await using var transaction = await context.BeginChangeAsync(request.Cancellation);
        var row = await FindToChangeAsync(context, request);
        var fields = new BodyFields(body.RootElement, KeyFields.OfChange, KeyFields.RefusedOfChange);
        var wanted = KeyFields.ReadChange(fields, row, now);
        fields.ThrowIfFaulty();
        if (KeyFields.GrantsAdmin(wanted.Scopes)) request.DemandAllOfAdmin("Granting scopes of administration");

        wanted.ApplyTo(row);
        var changes = context.ChangeTracker.HasChanges();
        if (changes)
        {
            row.UpdatedAt = now;
            await context.SaveChangesAsync(request.Cancellation);
        }
        // Also when nothing changed: the lock is not held while a client reads its answer.
        await transaction.CommitAsync(request.Cancellation);
        if (changes)
        {
            AdminLog.Changed(logger, "Changed key", row.Id, request.Caller.KeyId);
            await snapshots.ReloadAfterChangeAsync();
        }
        await AdminAnswer.WriteAsync(request, StatusCodes.Status200OK, json => KeyJson.Write(json, row, now, warnings: modelWarnings.Of(row.Models)));
    }

    public async Task DeleteAsync(AdminRequest request)
    {
        await using var context = await contexts.CreateDbContextAsync(request.Cancellation);
        await using var transaction = await context.BeginChangeAsync(request.Cancellation);
        var row = await FindToChangeAsync(context, request);
        context.ApiKeys.Remove(row);
        await context.SaveChangesAsync(request.Cancellation);
        await transaction.CommitAsync(request.Cancellation);
        AdminLog.Changed(logger, "Deleted key", row.Id, request.Caller.KeyId);
        await snapshots.ReloadAfterChangeAsync();
        AdminAnswer.NoContent(request);
    }

    /// <summary>A new secret; those that worked so far go on working for the overlap, with a warning.</summary>
    public async Task RotateAsync(AdminRequest request)
    {
        using var body = await AdminBody.ReadOptionalAsync(request);
        var fields = new BodyFields(body.RootElement, FieldsOfRotation);
        var overlap = TimeSpan.FromSeconds(fields.Integer("overlap_seconds", 0, MaxOverlapSeconds) ?? DefaultOverlapSeconds);
        fields.ThrowIfFaulty();

        var now = time.GetUtcNow();
        await using var context = await contexts.CreateDbContextAsync(request.Cancellation);
        await using var transaction = await context.BeginChangeAsync(request.Cancellation);
        var row = await FindToChangeAsync(context, request);
        if (row.RevokedAt is not null) throw AdminAnswer.Conflict("The key has been revoked; revocation is for ever.", "Make a new key in its place.");
        if (row.ExpiresAt <= now) throw AdminAnswer.Conflict("The key has expired; a new secret would not work either.", "Set expires_at to a time to come, then rotate.");

        row.Secrets.RemoveAll(secret => secret.RetiresAt <= now);
        if (overlap > TimeSpan.Zero && row.Secrets.Count >= MaxLiveSecrets)
            throw AdminAnswer.Conflict($"The key has {row.Secrets.Count} live secrets already.", "Wait until one retires, or rotate with overlap_seconds 0, which ends them all.");
        foreach (var secret in row.Secrets)
        {
            var end = now + overlap;
            if (secret.RetiresAt is null || secret.RetiresAt > end) secret.RetiresAt = end;
        }
        var made = ApiKeyText.New();
        context.ApiKeySecrets.Add(new ApiKeySecretRow { PublicId = made.PublicId, KeyId = row.Id, Hash = made.Hash, CreatedAt = now });
        row.UpdatedAt = now;
        await context.SaveChangesAsync(request.Cancellation);
        await transaction.CommitAsync(request.Cancellation);
        AdminLog.Changed(logger, "Rotated key", row.Id, request.Caller.KeyId);
        await snapshots.ReloadAfterChangeAsync();
        await AdminAnswer.WriteAsync(request, StatusCodes.Status200OK, json => KeyJson.Write(json, row, now, made.Text));
    }

    /// <summary>Ends all secrets of a key at once and for ever. Repeatable: the first time counts.</summary>
    public async Task RevokeAsync(AdminRequest request)
    {
        using var body = await AdminBody.ReadOptionalAsync(request);
        new BodyFields(body.RootElement, []).ThrowIfFaulty();

        var now = time.GetUtcNow();
        await using var context = await contexts.CreateDbContextAsync(request.Cancellation);
        await using var transaction = await context.BeginChangeAsync(request.Cancellation);
        var row = await FindToChangeAsync(context, request);
        var isFirst = row.RevokedAt is null;
        if (isFirst)
        {
            row.RevokedAt = now;
            row.UpdatedAt = now;
            await context.SaveChangesAsync(request.Cancellation);
        }
        await transaction.CommitAsync(request.Cancellation);
        if (isFirst)
        {
            AdminLog.Changed(logger, "Revoked key", row.Id, request.Caller.KeyId);
            await snapshots.ReloadAfterChangeAsync();
        }
        await AdminAnswer.WriteAsync(request, StatusCodes.Status200OK, json => KeyJson.Write(json, row, now));
    }

    private static async Task<ApiKeyRow> FindAsync(FairleadDbContext context, AdminRequest request) =>
        await context.ApiKeys.Include(row => row.Secrets).SingleOrDefaultAsync(row => row.Id == request.Id, request.Cancellation) ?? throw AdminAnswer.NotFound("key");

    private static async Task<ApiKeyRow> FindToChangeAsync(FairleadDbContext context, AdminRequest request)
    {
        var row = await FindAsync(context, request);
        // Rotating a key gives its secret away: whoever could do that to an administrator's key would be one.
        if (KeyFields.GrantsAdmin(row.Scopes)) request.DemandAllOfAdmin("Changing a key with scopes of administration");
        return row;
    }
}
