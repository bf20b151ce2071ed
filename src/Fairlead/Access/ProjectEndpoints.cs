using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Http;
using Microsoft.AspNetCore.Http;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Logging;

namespace Fairlead.Access;

/// <summary><c>/admin/v1/projects</c></summary>
internal sealed class ProjectEndpoints(IDbContextFactory<FairleadDbContext> contexts, CallerSnapshots snapshots, TimeProvider time, ILogger<ProjectEndpoints> logger)
{
    private const string Prefix = "proj_";

    private static readonly string[] FieldsOfNew = ["name", "organization_id"];
    private static readonly string[] FieldsOfChange = ["name"];

    private static readonly Dictionary<string, string> RefusedOfNew = new() { ["limits"] = UnsupportedFieldMessages.Limits };

    private static readonly Dictionary<string, string> RefusedOfChange = new()
    {
        ["limits"] = UnsupportedFieldMessages.Limits,
        ["organization_id"] = "A project stays with its organization; create a new project in the other one.",
    };

    public async Task ListAsync(AdminRequest request)
    {
        var page = AdminPage.Read(request, Prefix, "organization_id");
        await using var context = await contexts.CreateDbContextAsync(request.Cancellation);
        var query = context.Projects.AsNoTracking().Where(row => row.Id.CompareTo(page.After) > 0);
        if (page.Filter("organization_id") is { } organization) query = query.Where(row => row.OrganizationId == organization);
        var rows = await query.OrderBy(row => row.Id).Take(page.Limit + 1).ToListAsync(request.Cancellation);
        await AdminAnswer.WriteListAsync(request, page, rows, row => row.Id, Write);
    }

    public async Task GetAsync(AdminRequest request)
    {
        await using var context = await contexts.CreateDbContextAsync(request.Cancellation);
        var row = await context.Projects.AsNoTracking().SingleOrDefaultAsync(row => row.Id == request.Id, request.Cancellation) ?? throw AdminAnswer.NotFound("project");
        await AdminAnswer.WriteAsync(request, StatusCodes.Status200OK, json => Write(json, row));
    }

    public async Task CreateAsync(AdminRequest request)
    {
        using var body = await AdminBody.ReadAsync(request);
        var fields = new BodyFields(body.RootElement, FieldsOfNew, RefusedOfNew);
        var name = fields.Text("name", FieldLengths.Name);
        if (!fields.HasValue("name")) fields.Missing("name");
        var organization = fields.Text("organization_id", FieldLengths.Id);
        if (!fields.HasValue("organization_id")) fields.Missing("organization_id");

        await using var context = await contexts.CreateDbContextAsync(request.Cancellation);
        await using var transaction = await context.BeginChangeAsync(request.Cancellation);
        if (organization is not null && !await context.Organizations.AnyAsync(row => row.Id == organization, request.Cancellation))
            fields.Invalid("organization_id", "There is no organization with this id.");
        fields.ThrowIfFaulty();

        var now = time.GetUtcNow();
        var row = new ProjectRow { Id = Ids.New(Prefix, time), OrganizationId = organization!, Name = name!, CreatedAt = now, UpdatedAt = now };
        context.Projects.Add(row);
        await context.SaveChangesAsync(request.Cancellation);
        await transaction.CommitAsync(request.Cancellation);
        AdminLog.Changed(logger, "Created project", row.Id, request.Caller.KeyId);
        request.Context.Response.Headers.Location = PublicAddress.Of(request.Context).Reference("/admin/v1/projects/" + row.Id);
        await AdminAnswer.WriteAsync(request, StatusCodes.Status201Created, json => Write(json, row));
    }

    public async Task ChangeAsync(AdminRequest request)
    {
        using var body = await AdminBody.ReadAsync(request);
        var fields = new BodyFields(body.RootElement, FieldsOfChange, RefusedOfChange);
        var name = fields.Text("name", FieldLengths.Name);
        if (fields.Has("name") && !fields.HasValue("name")) fields.Invalid("name", "Must not be null.");
        fields.ThrowIfFaulty();

        await using var context = await contexts.CreateDbContextAsync(request.Cancellation);
        await using var transaction = await context.BeginChangeAsync(request.Cancellation);
        var row = await context.Projects.SingleOrDefaultAsync(row => row.Id == request.Id, request.Cancellation) ?? throw AdminAnswer.NotFound("project");
        var changes = name is not null && name != row.Name;
        if (changes)
        {
            row.Name = name!;
            row.UpdatedAt = time.GetUtcNow();
            await context.SaveChangesAsync(request.Cancellation);
        }
        // Also when nothing changed: the lock is not held while a client reads its answer.
        await transaction.CommitAsync(request.Cancellation);
        if (changes)
        {
            AdminLog.Changed(logger, "Changed project", row.Id, request.Caller.KeyId);
            await snapshots.ReloadAfterChangeAsync();
        }
        await AdminAnswer.WriteAsync(request, StatusCodes.Status200OK, json => Write(json, row));
    }

    /// <summary>Only one without keys: whoever still holds one must be told first.</summary>
    public async Task DeleteAsync(AdminRequest request)
    {
        await using var context = await contexts.CreateDbContextAsync(request.Cancellation);
        await using var transaction = await context.BeginChangeAsync(request.Cancellation);
        var row = await context.Projects.SingleOrDefaultAsync(row => row.Id == request.Id, request.Cancellation) ?? throw AdminAnswer.NotFound("project");
        var keys = await context.ApiKeys.CountAsync(key => key.ProjectId == row.Id, request.Cancellation);
        if (keys > 0)
            throw AdminAnswer.Conflict($"The project still has {keys} {(keys == 1 ? "key" : "keys")}.", "Delete its keys first; GET /admin/v1/keys?project_id=… lists them.");
        context.Projects.Remove(row);
        await context.SaveChangesAsync(request.Cancellation);
        await transaction.CommitAsync(request.Cancellation);
        AdminLog.Changed(logger, "Deleted project", row.Id, request.Caller.KeyId);
        AdminAnswer.NoContent(request);
    }

    private static void Write(Utf8JsonWriter json, ProjectRow row)
    {
        json.WriteStartObject();
        json.WriteString("id", row.Id);
        json.WriteString("object", "project");
        json.WriteString("name", row.Name);
        json.WriteString("organization_id", row.OrganizationId);
        AdminAnswer.WriteTime(json, "created_at", row.CreatedAt);
        AdminAnswer.WriteTime(json, "updated_at", row.UpdatedAt);
        json.WriteEndObject();
    }
}
