using System.Data.Common;
using System.Text.Json;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Pipeline;

namespace Fairlead.Access;

/// <summary><c>/admin/v1/projects</c>. One with keys is not deleted: the holders of its keys must be informed first.</summary>
internal sealed class ProjectResource() : AdminResource<ProjectRow>("project", "proj_")
{
    private const string NoOrganization = "There is no organization with this id.";

    public override string[] Filters { get; } = ["organization_id"];

    public override bool IsOfOrganizations => true;

    public override FieldSet NewFields { get; } = new(["name", "organization_id", "cache", "audit_content", LimitsField.Name]);

    public override FieldSet ChangeFields { get; } = new(["name", "cache", "audit_content", LimitsField.Name], new Dictionary<string, string>
    {
        ["organization_id"] = "A project stays with its organization; create a new project in the other one.",
    });

    public override bool HasParent => true;

    public override ProjectRow ReadNew(BodyFields fields) => new()
    {
        Id = "",
        Name = fields.RequiredText("name", FieldLengths.Name) ?? "",
        OrganizationId = fields.RequiredText("organization_id", FieldLengths.Id) ?? "",
        Cache = fields.OneOf("cache", CacheModes.All),
        AuditContent = fields.OneOf("audit_content", AuditContents.Names),
        Limits = LimitsField.Read(fields)(null),
        CreatedAt = default,
        UpdatedAt = default,
    };

    public override Func<ProjectRow, ProjectRow> ReadChange(BodyFields fields)
    {
        var name = fields.OptionalText("name", FieldLengths.Name);
        var cache = fields.OneOf("cache", CacheModes.All);
        var content = fields.OneOf("audit_content", AuditContents.Names);
        var limits = LimitsField.Read(fields);
        return row => row with
        {
            Name = name ?? row.Name, Cache = fields.Has("cache") ? cache : row.Cache,
            AuditContent = fields.Has("audit_content") ? content : row.AuditContent, Limits = limits(row.Limits),
        };
    }

    public override ValueTask<string?> OrganizationOfAsync(DbConnection connection, ProjectRow row, CancellationToken cancellationToken) =>
        ValueTask.FromResult<string?>(row.OrganizationId);

    public override void AddParentError(BodyFields fields)
    {
        // A missing id has its error already.
        if (fields.HasValue("organization_id")) fields.Invalid("organization_id", NoOrganization);
    }

    public override async Task CheckParentAsync(
        DbConnection connection, ProjectRow row, BodyFields fields, CancellationToken cancellationToken)
    {
        // An invalid id has its error already.
        if (row.OrganizationId.Length == 0) return;
        if (await OrganizationTable.FindAsync(connection, row.OrganizationId, cancellationToken) is null)
            fields.Invalid("organization_id", NoOrganization);
    }

    public override string? OrganizationOf(ProjectRow row) => row.OrganizationId;

    public override string? ProjectOf(ProjectRow row) => row.Id;

    public override async Task<GatewayErrorException?> FindUseAsync(
        DbConnection connection, ProjectRow row, CancellationToken cancellationToken)
    {
        var keys = await KeyTable.CountAsync(connection, row.Id, cancellationToken);
        return keys == 0 ? null : EndpointErrors.Conflict(
            $"The project still has {keys} {(keys == 1 ? "key" : "keys")}.",
            "Delete its keys first; GET /admin/v1/keys?project_id=… lists them.");
    }

    public override Task<List<ProjectRow>> ListAsync(DbConnection connection, ListPage page, CancellationToken cancellationToken) =>
        ProjectTable.ListAsync(connection, page.After, page.Filter("organization_id"), page.Limit + 1, cancellationToken);

    public override Task<ProjectRow?> FindAsync(DbConnection connection, string id, CancellationToken cancellationToken) =>
        ProjectTable.FindAsync(connection, id, cancellationToken);

    public override Task InsertAsync(DbConnection connection, ProjectRow row, CancellationToken cancellationToken) =>
        ProjectTable.InsertAsync(connection, row, cancellationToken);

    public override Task UpdateAsync(DbConnection connection, ProjectRow row, CancellationToken cancellationToken) =>
        ProjectTable.UpdateAsync(connection, row, cancellationToken);

    public override Task DeleteAsync(DbConnection connection, string id, CancellationToken cancellationToken) =>
        ProjectTable.DeleteAsync(connection, id, cancellationToken);

    protected override void WriteFields(Utf8JsonWriter json, ProjectRow row)
    {
        json.WriteString("organization_id", row.OrganizationId);
        json.WriteString("cache", row.Cache);
        json.WriteString("audit_content", row.AuditContent);
        LimitsField.Write(json, row.Limits);
    }
}
