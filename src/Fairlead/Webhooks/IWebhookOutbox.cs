using System.Data.Common;

namespace Fairlead.Webhooks;

/// <summary>
/// Where other slices add events for receivers. An added event is committed or rolled back with the transaction of the change, so nothing
/// is announced that did not happen, and nothing that happened is lost. Thread-safe.
/// </summary>
internal interface IWebhookOutbox
{
    /// <summary>
    /// Adds one delivery for every enabled webhook that selects the event and belongs to one of its owners, and one for
    /// <see cref="WebhookEvent.Url"/>. Returns how many.
    /// </summary>
    Task<int> AddAsync(DbConnection connection, DbTransaction transaction, WebhookEvent happened, CancellationToken cancellationToken);

    /// <summary>Signals, after the commit, that there is something to deliver.</summary>
    void Announce();
}

/// <summary>Something that happened in a project or in an organization.</summary>
/// <param name="OwnerId">The id of the project or of the organization whose webhooks receive it.</param>
/// <param name="Type">Of <see cref="WebhookEvents"/>.</param>
/// <param name="At">When it happened.</param>
/// <param name="Data">The <c>data</c> member, a JSON object.</param>
/// <param name="Url">An address that the request itself named, or null.</param>
internal sealed record WebhookEvent(string OwnerId, string Type, DateTimeOffset At, byte[] Data, string? Url = null)
{
    /// <summary>An organization whose webhooks receive it too, or null.</summary>
    public string? OrganizationId { get; init; }

    /// <summary>Whether the webhooks of all projects of <see cref="OrganizationId"/> receive it too.</summary>
    public bool ForAllProjects { get; init; }
}
