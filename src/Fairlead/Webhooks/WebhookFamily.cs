using Fairlead.Access;
using Fairlead.Http;
using Fairlead.Storage;

namespace Fairlead.Webhooks;

/// <summary>What differs between the webhooks of projects and those of organizations. Thread-safe.</summary>
internal abstract class WebhookFamily
{
    /// <summary>Where its paths start.</summary>
    public abstract string Path { get; }

    /// <summary>Whether administrators manage them, so that every change is recorded. Those of projects are changed by their clients.</summary>
    public bool IsAdministration => Path.StartsWith(AdminApi.Root, StringComparison.Ordinal);

    /// <summary>Events that its webhooks may select.</summary>
    public abstract IReadOnlyList<string> Events { get; }

    /// <summary>The fields of a new webhook.</summary>
    public abstract FieldSet NewFields { get; }

    /// <summary>Parameters of its lists, in addition to those that all lists have.</summary>
    public abstract IReadOnlyList<string> Filters { get; }

    /// <summary>What has a maximum of webhooks, as a noun.</summary>
    public abstract string OwnerName { get; }

    /// <summary>Whose webhooks the caller of a request sees.</summary>
    public abstract WebhookOwner Visible(EndpointRequest request);

    /// <summary>Whose webhooks a list shows.</summary>
    public abstract WebhookOwner Listed(EndpointRequest request, ListPage page);

    /// <summary>The owner of a new webhook; null if the body does not name a valid one, which is then among its errors.</summary>
    public abstract Task<string?> ReadOwnerAsync(EndpointRequest request, BodyFields fields);
}

/// <summary>The webhooks of the caller's project. Those of other projects are not found.</summary>
internal sealed class ProjectWebhooks : WebhookFamily
{
    public override string Path => "/v2/webhooks";

    public override IReadOnlyList<string> Events => WebhookEvents.Known;

    public override FieldSet NewFields { get; } = new(["url", "events", "description", "signature"]);

    public override IReadOnlyList<string> Filters => [];

    public override string OwnerName => "project";

    public override WebhookOwner Visible(EndpointRequest request) => request.Caller.ProjectId;

    public override WebhookOwner Listed(EndpointRequest request, ListPage page) => Visible(request);

    public override Task<string?> ReadOwnerAsync(EndpointRequest request, BodyFields fields) =>
        Task.FromResult<string?>(request.Caller.ProjectId);
}

/// <summary>The webhooks of all organizations that the caller administers.</summary>
internal sealed class OrganizationWebhooks(IStorage storage) : WebhookFamily
{
    private const string OrganizationId = "organization_id";

    public override string Path => AdminApi.Root + "/webhooks";

    public override IReadOnlyList<string> Events => WebhookEvents.OfOrganizations;

    public override FieldSet NewFields { get; } = new([OrganizationId, "url", "events", "description", "signature"]);

    public override IReadOnlyList<string> Filters => [OrganizationId];

    public override string OwnerName => "organization";

    public override WebhookOwner Visible(EndpointRequest request) => Within(request, null);

    // No project has such an id, so the filter cannot show the webhooks of one.
    public override WebhookOwner Listed(EndpointRequest request, ListPage page) => Within(request, page.Filter(OrganizationId));

    public override async Task<string?> ReadOwnerAsync(EndpointRequest request, BodyFields fields)
    {
        if (fields.RequiredText(OrganizationId, FieldLengths.Id) is not { } id) return null;
        await using var connection = await storage.OpenAsync(request.Cancellation);
        if (request.Caller.Reach.Sees(id)
            && await OrganizationTable.FindAsync(connection, storage.Sql.Storable(id), request.Cancellation) is not null)
        {
            return id;
        }
        fields.Invalid(OrganizationId, "There is no organization with this id.");
        return null;
    }

    private WebhookOwner Within(EndpointRequest request, string? requested) =>
        request.Caller.Reach.Narrow(requested) is { } id
            ? WebhookOwner.OrganizationOf(storage.Sql.Storable(id)) : WebhookOwner.AnyOrganization;
}
