using System.Data.Common;
using Fairlead.Errors;
using Fairlead.Http;

namespace Fairlead.Access;

/// <summary>
/// <c>/admin/v1/organizations</c>. One with projects is not deleted: the ledger refers to its projects, and their keys must not disappear
/// unnoticed.
/// </summary>
internal sealed class OrganizationResource() : AdminResource<OrganizationRow>("organization", "org_")
{
    private static readonly FieldSet Fields = new(["name"], new Dictionary<string, string>
    {
        ["weight"] = "This version schedules all organizations alike; leave the field out.",
        ["limits"] = UnsupportedFieldMessages.Limits,
    });

    public override FieldSet NewFields => Fields;

    public override FieldSet ChangeFields => Fields;

    public override OrganizationRow ReadNew(BodyFields fields) =>
        new() { Id = "", Name = fields.RequiredText("name", FieldLengths.Name) ?? "", CreatedAt = default, UpdatedAt = default };

    public override Func<OrganizationRow, OrganizationRow> ReadChange(BodyFields fields)
    {
        var name = fields.OptionalText("name", FieldLengths.Name);
        return row => row with { Name = name ?? row.Name };
    }

    public override async Task<GatewayErrorException?> FindUseAsync(
        DbConnection connection, OrganizationRow row, CancellationToken cancellationToken)
    {
        var projects = await ProjectTable.CountAsync(connection, row.Id, cancellationToken);
        return projects == 0 ? null : EndpointErrors.Conflict(
            $"The organization still has {projects} {(projects == 1 ? "project" : "projects")}.",
            "Delete its projects first; GET /admin/v1/projects?organization_id=… lists them.");
    }

    public override Task<List<OrganizationRow>> ListAsync(DbConnection connection, ListPage page, CancellationToken cancellationToken) =>
        OrganizationTable.ListAsync(connection, page.After, page.Limit + 1, cancellationToken);

    public override Task<OrganizationRow?> FindAsync(DbConnection connection, string id, CancellationToken cancellationToken) =>
        OrganizationTable.FindAsync(connection, id, cancellationToken);

    public override Task InsertAsync(DbConnection connection, OrganizationRow row, CancellationToken cancellationToken) =>
        OrganizationTable.InsertAsync(connection, row, cancellationToken);

    public override Task UpdateAsync(DbConnection connection, OrganizationRow row, CancellationToken cancellationToken) =>
        OrganizationTable.UpdateAsync(connection, row, cancellationToken);

    public override Task DeleteAsync(DbConnection connection, string id, CancellationToken cancellationToken) =>
        OrganizationTable.DeleteAsync(connection, id, cancellationToken);
}
