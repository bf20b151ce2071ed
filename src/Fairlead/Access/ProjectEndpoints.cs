using System.Data.Common;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Storage;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Fairlead.Access;

/// <summary><c>/admin/v1/projects</c></summary>
internal sealed class ProjectEndpoints(
    IStorage storage, AccessChanges changes, CallerSnapshots snapshots, TimeProvider time, ILogger<ProjectEndpoints> logger)
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
        List<ProjectRow> rows;
        await using (var connection = await storage.OpenAsync(request.Cancellation))
        {
            rows = await ProjectTable.ListAsync(connection, page.After, page.Filter("organization_id"), page.Limit + 1, request.Cancellation);
        }
        await AdminAnswer.WriteListAsync(request, page, rows, row => row.Id, Write);
    }

    public async Task GetAsync(AdminRequest request)
    {
        ProjectRow row;
        await using (var connection = await storage.OpenAsync(request.Cancellation))
        {
            row = await FindAsync(connection, request);
        }
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

        await using var change = await changes.BeginAsync(request.Cancellation);
        if (organization is not null && await OrganizationTable.FindAsync(change.Connection, organization, request.Cancellation) is null)
            fields.Invalid("organization_id", "There is no organization with this id.");
        fields.ThrowIfFaulty();

        var now = time.GetUtcNow();
        var row = new ProjectRow { Id = Ids.New(Prefix, time), OrganizationId = organization!, Name = name!, CreatedAt = now, UpdatedAt = now };
        await ProjectTable.InsertAsync(change.Connection, row, request.Cancellation);
        await change.CommitAsync(request.Cancellation);
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

        await using var change = await changes.BeginAsync(request.Cancellation);
        var row = await FindAsync(change.Connection, request);
        var isNew = name is not null && name != row.Name;
        if (isNew)
        {
            row = row with { Name = name!, UpdatedAt = time.GetUtcNow() };
            await ProjectTable.UpdateAsync(change.Connection, row, request.Cancellation);
        }
        // Also when nothing changed: a client must not hold the lock while it reads its response.
        await change.CommitAsync(request.Cancellation);
        if (isNew)
        {
            AdminLog.Changed(logger, "Changed project", row.Id, request.Caller.KeyId);
            await snapshots.ReloadAfterChangeAsync();
        }
        await AdminAnswer.WriteAsync(request, StatusCodes.Status200OK, json => Write(json, row));
    }

    /// <summary>Deletes a project without keys: the holders of its keys must be informed first.</summary>
    public async Task DeleteAsync(AdminRequest request)
    {
        await using var change = await changes.BeginAsync(request.Cancellation);
        var row = await FindAsync(change.Connection, request);
        var keys = await KeyTable.CountAsync(change.Connection, row.Id, request.Cancellation);
        if (keys > 0)
        {
            throw AdminAnswer.Conflict(
                $"The project still has {keys} {(keys == 1 ? "key" : "keys")}.", "Delete its keys first; GET /admin/v1/keys?project_id=… lists them.");
        }
        await ProjectTable.DeleteAsync(change.Connection, row.Id, request.Cancellation);
        await change.CommitAsync(request.Cancellation);
        AdminLog.Changed(logger, "Deleted project", row.Id, request.Caller.KeyId);
        AdminAnswer.NoContent(request);
    }

    private static async Task<ProjectRow> FindAsync(DbConnection connection, AdminRequest request) =>
        await ProjectTable.FindAsync(connection, request.Id, request.Cancellation) ?? throw AdminAnswer.NotFound("project");

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
