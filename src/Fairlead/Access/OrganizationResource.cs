using System.Data.Common;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;

namespace Fairlead.Access;

/// <summary>
/// <c>/admin/v1/organizations</c>. One with projects is not deleted: the ledger refers to its projects, and their keys must not disappear
/// unnoticed.
/// </summary>
/// <param name="time">Clock.</param>
/// <param name="recordings">What the configuration says about the content of audit records.</param>
internal sealed class OrganizationResource(TimeProvider time, IContentRecordings? recordings = null) : AdminResource<OrganizationRow>("organization", "org_")
{
    private const string WeightName = "weight";
    private const string ShareName = "share_across_organizations";
    private const string AuditContentName = "audit_content";
    private const string RecordsName = "audit_retention_days";
    private const string ContentsName = "audit_content_retention_days";
    private const decimal DefaultWeight = 1;

    private static readonly FieldSet Fields = new(["name", WeightName, ShareName, AuditContentName, RecordsName, ContentsName, LimitsField.Name]);

    public override bool IsOfOrganizations => true;

    public override FieldSet NewFields => Fields;

    public override FieldSet ChangeFields => Fields;

    public override OrganizationRow ReadNew(BodyFields fields)
    {
        var row = new OrganizationRow
        {
            Id = "",
            Name = fields.RequiredText("name", FieldLengths.Name) ?? "",
            Weight = ReadWeight(fields),
            SharesAcrossOrganizations = ReadShare(fields),
            AuditContent = fields.OneOf(AuditContentName, AuditContents.Names),
            AuditRetentionDays = ReadDays(fields, RecordsName),
            AuditContentRetentionDays = ReadDays(fields, ContentsName),
            Limits = LimitsField.Read(fields)(null),
            CreatedAt = default,
            UpdatedAt = default,
        };
        if (row.AuditContentRetentionDays > row.AuditRetentionDays) fields.Invalid(ContentsName, TooLong(row.AuditRetentionDays));
        return row;
    }

    public override Func<OrganizationRow, OrganizationRow> ReadChange(BodyFields fields)
    {
        var name = fields.OptionalText("name", FieldLengths.Name);
        decimal? weight = fields.Has(WeightName) ? ReadWeight(fields) : null;
        bool? share = fields.Has(ShareName) ? ReadShare(fields) : null;
        var content = fields.OneOf(AuditContentName, AuditContents.Names);
        var records = ReadDays(fields, RecordsName);
        var contents = ReadDays(fields, ContentsName);
        var limits = LimitsField.Read(fields);
        return row => Checked(row with
        {
            Name = name ?? row.Name,
            Weight = weight ?? row.Weight,
            SharesAcrossOrganizations = share ?? row.SharesAcrossOrganizations,
            AuditContent = fields.Has(AuditContentName) ? content : row.AuditContent,
            AuditRetentionDays = fields.Has(RecordsName) ? records : row.AuditRetentionDays,
            AuditContentRetentionDays = fields.Has(ContentsName) ? contents : row.AuditContentRetentionDays,
            Limits = limits(row.Limits),
        });
    }

    public override string? OrganizationOf(OrganizationRow row) => row.Id;

    public override ValueTask<string?> OrganizationOfAsync(
        DbConnection connection, OrganizationRow row, CancellationToken cancellationToken) => ValueTask.FromResult<string?>(row.Id);

    /// <summary>
    /// The limits and the share of an organization, and what it shares with others, are decided by those who run the installation, not by
    /// itself. It can only have less content in its audit records than they set.
    /// </summary>
    public override void CheckRights(Caller caller, OrganizationRow? before, OrganizationRow? after)
    {
        if (before is null) AdminRights.RequireInstallation(caller, "Creating an organization");
        else if (after is null) AdminRights.RequireInstallation(caller, "Deleting an organization");
        else if (before.Limits != after.Limits) AdminRights.RequireInstallation(caller, "Changing the limits of an organization");
        else if (before.Weight != after.Weight) AdminRights.RequireInstallation(caller, "Changing the weight of an organization");
        else if (before.SharesAcrossOrganizations != after.SharesAcrossOrganizations)
            AdminRights.RequireInstallation(caller, $"Changing {ShareName} of an organization");
        else if (AuditContents.Find(before.AuditContent) is { } content && !(AuditContents.Find(after.AuditContent) <= content))
            AdminRights.RequireInstallation(caller, $"Loosening {AuditContentName} of an organization");
        else if (before.AuditRetentionDays != after.AuditRetentionDays)
            AdminRights.RequireInstallation(caller, $"Changing {RecordsName} of an organization");
        else if (before.AuditContentRetentionDays is { } days && !(after.AuditContentRetentionDays <= days))
            AdminRights.RequireInstallation(caller, $"Lengthening {ContentsName} of an organization");
        else if (before.AuditContentRetentionDays is null && after.AuditContentRetentionDays is { } set
            && TimeSpan.FromDays(set) > recordings?.Retention)
        {
            AdminRights.RequireInstallation(caller, $"Lengthening {ContentsName} of an organization");
        }
    }

    public override async Task<GatewayErrorException?> FindUseAsync(
        DbConnection connection, OrganizationRow row, CancellationToken cancellationToken)
    {
        var projects = await ProjectTable.CountAsync(connection, row.Id, cancellationToken);
        if (projects > 0)
        {
            return EndpointErrors.Conflict(
                $"The organization still has {projects} {(projects == 1 ? "project" : "projects")}.",
                "Delete its projects first; GET /admin/v1/projects?organization_id=… lists them.");
        }
        var admins = await KeyTable.CountAdminsAsync(connection, row.Id, cancellationToken);
        return admins == 0 ? null : EndpointErrors.Conflict(
            $"The organization still has {admins} {(admins == 1 ? "key" : "keys")} with the role organization_admin in other organizations.",
            "Delete those keys first, or give them another role.");
    }

    public override Task<List<OrganizationRow>> ListAsync(DbConnection connection, ListPage page, CancellationToken cancellationToken) =>
        OrganizationTable.ListAsync(connection, page.After, page.Filter("organization_id"), page.Limit + 1, cancellationToken);

    public override Task<OrganizationRow?> FindAsync(DbConnection connection, string id, CancellationToken cancellationToken) =>
        OrganizationTable.FindAsync(connection, id, cancellationToken);

    public override Task InsertAsync(DbConnection connection, OrganizationRow row, CancellationToken cancellationToken) =>
        OrganizationTable.InsertAsync(connection, row, cancellationToken);

    public override Task UpdateAsync(DbConnection connection, OrganizationRow row, CancellationToken cancellationToken) =>
        OrganizationTable.UpdateAsync(connection, row, cancellationToken);

    public override async Task DeleteAsync(DbConnection connection, string id, CancellationToken cancellationToken)
    {
        // Its records are still there, and must go when it said.
        await OrganizationRetention.KeepAsync(connection, id, time.GetUtcNow(), cancellationToken);
        await OrganizationTable.DeleteAsync(connection, id, cancellationToken);
    }

    protected override void WriteFields(Utf8JsonWriter json, OrganizationRow row)
    {
        json.WriteNumber(WeightName, Money.Trim(row.Weight));
        json.WriteBoolean(ShareName, row.SharesAcrossOrganizations);
        json.WriteString(AuditContentName, row.AuditContent);
        WriteDays(json, RecordsName, row.AuditRetentionDays);
        WriteDays(json, ContentsName, row.AuditContentRetentionDays);
        LimitsField.Write(json, row.Limits);
    }

    private static void WriteDays(Utf8JsonWriter json, string name, int? days)
    {
        if (days is { } number) json.WriteNumber(name, number);
        else json.WriteNull(name);
    }

    private static int? ReadDays(BodyFields fields, string name) =>
        fields.HasValue(name) ? fields.Integer(name, 1, OrganizationRow.MaxRetentionDays) : null;

    private static OrganizationRow Checked(OrganizationRow row) => row.AuditContentRetentionDays > row.AuditRetentionDays
        ? throw new GatewayErrorException(new GatewayError(ErrorCode.InvalidParameter, $"{ContentsName}: {TooLong(row.AuditRetentionDays)}")
        {
            Parameter = ContentsName,
            Faults = [new FieldError("/" + ContentsName, TooLong(row.AuditRetentionDays))],
        })
        : row;

    private static string TooLong(int? days) => $"Must be at most {RecordsName} ({days}): content is not stored longer than its record.";

    // Null is the default, as for the weight.
    private static bool ReadShare(BodyFields fields)
    {
        if (!fields.HasValue(ShareName)) return false;
        if (fields.Element(ShareName) is { ValueKind: JsonValueKind.True or JsonValueKind.False } value) return value.GetBoolean();
        fields.Invalid(ShareName, "Must be true or false.");
        return false;
    }

    // Null is the default, in a new organization and in a change.
    private static decimal ReadWeight(BodyFields fields)
    {
        if (!fields.HasValue(WeightName)) return DefaultWeight;
        if (fields.Element(WeightName) is { ValueKind: JsonValueKind.Number } number
            && LimitNumber.Weight.TryRead(number.GetRawText(), out var units, out _))
        {
            return LimitNumber.Weight.ToDecimal(units);
        }
        fields.Invalid(WeightName, $"Must be {LimitNumber.Weight.Expected}.");
        return DefaultWeight;
    }
}
