namespace Fairlead.Webhooks;

/// <summary>Whose webhooks are meant. Immutable.</summary>
internal readonly record struct WebhookOwner
{
    private const string OrganizationPrefix = "org_";

    private WebhookOwner(string? id, bool isOrganization) => (Id, MustBeOrganization) = (id, isOrganization);

    /// <summary>All organizations that exist.</summary>
    public static WebhookOwner AnyOrganization => new(null, isOrganization: true);

    /// <summary>The id of a project or of an organization; null for all organizations.</summary>
    public string? Id { get; }

    private bool MustBeOrganization { get; }

    /// <summary>
    /// The condition on the owner of a row; its parameter is <c>@owner</c>. The column has its name from the time when only projects had
    /// webhooks. The ids of projects and organizations have different prefixes.
    /// </summary>
    public string Condition => !MustBeOrganization ? "project_id = @owner"
        : "project_id IN (SELECT id FROM organizations" + (Id is null ? ")" : " WHERE id = @owner)");

    /// <summary>The project or the organization with this id.</summary>
    public static implicit operator WebhookOwner(string id) => new(id, isOrganization: false);

    /// <summary>The organization with this id, if there is one.</summary>
    public static WebhookOwner OrganizationOf(string id) => new(id, isOrganization: true);

    public static bool IsOrganization(string id) => id.StartsWith(OrganizationPrefix, StringComparison.Ordinal);
}
