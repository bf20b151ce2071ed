using System.Data.Common;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Storage;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Fairlead.Access;

/// <summary><c>/admin/v1/organizations</c></summary>
internal sealed class OrganizationEndpoints(
    IStorage storage, AccessChanges changes, CallerSnapshots snapshots, TimeProvider time, ILogger<OrganizationEndpoints> logger)
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
        List<OrganizationRow> rows;
        await using (var connection = await storage.OpenAsync(request.Cancellation))
        {
            rows = await OrganizationTable.ListAsync(connection, page.After, page.Limit + 1, request.Cancellation);
        }
        await AdminAnswer.WriteListAsync(request, page, rows, row => row.Id, Write);
    }

    public async Task GetAsync(AdminRequest request)
    {
        OrganizationRow row;
        await using (var connection = await storage.OpenAsync(request.Cancellation))
        {
            row = await FindAsync(connection, request);
        }
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
        await using (var connection = await storage.OpenAsync(request.Cancellation))
        {
            await OrganizationTable.InsertAsync(connection, row, request.Cancellation);
        }
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

        await using var change = await changes.BeginAsync(request.Cancellation);
        var row = await FindAsync(change.Connection, request);
        var isNew = name is not null && name != row.Name;
        if (isNew)
        {
            row = row with { Name = name!, UpdatedAt = time.GetUtcNow() };
            await OrganizationTable.UpdateAsync(change.Connection, row, request.Cancellation);
        }
        // Also when nothing changed: a client must not hold the lock while it reads its response.
        await change.CommitAsync(request.Cancellation);
        if (isNew)
        {
            AdminLog.Changed(logger, "Changed organization", row.Id, request.Caller.KeyId);
            await snapshots.ReloadAfterChangeAsync();
        }
        await AdminAnswer.WriteAsync(request, StatusCodes.Status200OK, json => Write(json, row));
    }

    /// <summary>
    /// Deletes an organization without projects. One with projects stays: the ledger refers to its projects, and their keys must not
    /// disappear unnoticed.
    /// </summary>
    public async Task DeleteAsync(AdminRequest request)
    {
        await using var change = await changes.BeginAsync(request.Cancellation);
        var row = await FindAsync(change.Connection, request);
        var projects = await ProjectTable.CountAsync(change.Connection, row.Id, request.Cancellation);
        if (projects > 0)
        {
            throw AdminAnswer.Conflict(
                $"The organization still has {projects} {(projects == 1 ? "project" : "projects")}.",
                "Delete its projects first; GET /admin/v1/projects?organization_id=… lists them.");
        }
        await OrganizationTable.DeleteAsync(change.Connection, row.Id, request.Cancellation);
        await change.CommitAsync(request.Cancellation);
        AdminLog.Changed(logger, "Deleted organization", row.Id, request.Caller.KeyId);
        AdminAnswer.NoContent(request);
    }

    private static async Task<OrganizationRow> FindAsync(DbConnection connection, AdminRequest request) =>
        await OrganizationTable.FindAsync(connection, request.Id, request.Cancellation) ?? throw AdminAnswer.NotFound("organization");

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
