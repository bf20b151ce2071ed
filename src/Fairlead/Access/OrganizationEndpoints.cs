using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Http;
using Microsoft.AspNetCore.Http;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Logging;

namespace Fairlead.Access;

/// <summary><c>/admin/v1/organizations</c></summary>
internal sealed class OrganizationEndpoints(IDbContextFactory<FairleadDbContext> contexts, CallerSnapshots snapshots, TimeProvider time, ILogger<OrganizationEndpoints> logger)
{
    private const string Prefix = "org_";

    private static readonly string[] Fields = ["name"];

    private static readonly Dictionary<string, string> Refused = new()
    {
        ["weight"] = "This version schedules all organizations alike; leave the field out.",
        ["limits"] = UnsupportedFieldMessages.Limits,
    };

    public async Task ListAsync(AdminRequest request)
    {
        var page = AdminPage.Read(request, Prefix);
        await using var context = await contexts.CreateDbContextAsync(request.Cancellation);
        var rows = await context.Organizations.AsNoTracking().Where(row => row.Id.CompareTo(page.After) > 0).OrderBy(row => row.Id).Take(page.Limit + 1).ToListAsync(request.Cancellation);
        await AdminAnswer.WriteListAsync(request, page, rows, row => row.Id, Write);
    }

    public async Task GetAsync(AdminRequest request)
    {
        await using var context = await contexts.CreateDbContextAsync(request.Cancellation);
        var row = await context.Organizations.AsNoTracking().SingleOrDefaultAsync(row => row.Id == request.Id, request.Cancellation) ?? throw AdminAnswer.NotFound("organization");
        await AdminAnswer.WriteAsync(request, StatusCodes.Status200OK, json => Write(json, row));
    }

    public async Task CreateAsync(AdminRequest request)
    {
        using var body = await AdminBody.ReadAsync(request);
        var fields = new BodyFields(body.RootElement, Fields, Refused);
        var name = fields.Text("name", FieldLengths.Name);
        if (!fields.HasValue("name")) fields.Missing("name");
        fields.ThrowIfFaulty();

        var now = time.GetUtcNow();
        var row = new OrganizationRow { Id = Ids.New(Prefix, time), Name = name!, CreatedAt = now, UpdatedAt = now };
        await using var context = await contexts.CreateDbContextAsync(request.Cancellation);
        context.Organizations.Add(row);
        await context.SaveChangesAsync(request.Cancellation);
        AdminLog.Changed(logger, "Created organization", row.Id, request.Caller.KeyId);
        request.Context.Response.Headers.Location = PublicAddress.Of(request.Context).Reference("/admin/v1/organizations/" + row.Id);
        await AdminAnswer.WriteAsync(request, StatusCodes.Status201Created, json => Write(json, row));
    }

    public async Task ChangeAsync(AdminRequest request)
    {
        using var body = await AdminBody.ReadAsync(request);
        var fields = new BodyFields(body.RootElement, Fields, Refused);
        var name = fields.Text("name", FieldLengths.Name);
        if (fields.Has("name") && !fields.HasValue("name")) fields.Invalid("name", "Must not be null.");
        fields.ThrowIfFaulty();

        await using var context = await contexts.CreateDbContextAsync(request.Cancellation);
        await using var transaction = await context.BeginChangeAsync(request.Cancellation);
        var row = await context.Organizations.SingleOrDefaultAsync(row => row.Id == request.Id, request.Cancellation) ?? throw AdminAnswer.NotFound("organization");
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
            AdminLog.Changed(logger, "Changed organization", row.Id, request.Caller.KeyId);
            await snapshots.ReloadAfterChangeAsync();
        }
        await AdminAnswer.WriteAsync(request, StatusCodes.Status200OK, json => Write(json, row));
    }

    /// <summary>Only an empty one: what its projects have done stands in the ledger under their names, and their keys must not vanish unnoticed.</summary>
    public async Task DeleteAsync(AdminRequest request)
    {
        await using var context = await contexts.CreateDbContextAsync(request.Cancellation);
        await using var transaction = await context.BeginChangeAsync(request.Cancellation);
        var row = await context.Organizations.SingleOrDefaultAsync(row => row.Id == request.Id, request.Cancellation) ?? throw AdminAnswer.NotFound("organization");
        var projects = await context.Projects.CountAsync(project => project.OrganizationId == row.Id, request.Cancellation);
        if (projects > 0)
            throw AdminAnswer.Conflict($"The organization still has {projects} {(projects == 1 ? "project" : "projects")}.", "Delete its projects first; GET /admin/v1/projects?organization_id=… lists them.");
        context.Organizations.Remove(row);
        await context.SaveChangesAsync(request.Cancellation);
        await transaction.CommitAsync(request.Cancellation);
        AdminLog.Changed(logger, "Deleted organization", row.Id, request.Caller.KeyId);
        AdminAnswer.NoContent(request);
    }

    private static void Write(Utf8JsonWriter json, OrganizationRow row)
    {
        json.WriteStartObject();
        json.WriteString("id", row.Id);
        json.WriteString("object", "organization");
        json.WriteString("name", row.Name);
        AdminAnswer.WriteTime(json, "created_at", row.CreatedAt);
        AdminAnswer.WriteTime(json, "updated_at", row.UpdatedAt);
        json.WriteEndObject();
    }
}
