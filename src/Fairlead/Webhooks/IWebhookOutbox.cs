using System.Data.Common;

namespace Fairlead.Webhooks;

/// <summary>
/// Where other slices add events for receivers. An added event is committed or rolled back with the transaction of the change, so nothing
/// is announced that did not happen, and nothing that happened is lost. Thread-safe.
/// </summary>
internal interface IWebhookOutbox
{
    /// <summary>
    /// Adds one delivery for every webhook of the project that selects the event, and one for <see cref="WebhookEvent.Url"/>. Returns how
    /// many.
    /// </summary>
    Task<int> AddAsync(DbConnection connection, DbTransaction transaction, WebhookEvent happened, CancellationToken cancellationToken);

    /// <summary>Signals, after the commit, that there is something to deliver.</summary>
    void Announce();
}

/// <summary>Something that happened in a project.</summary>
/// <param name="ProjectId">The project.</param>
/// <param name="Type">Of <see cref="WebhookEvents"/>.</param>
/// <param name="At">When it happened.</param>
/// <param name="Data">The <c>data</c> member, a JSON object.</param>
/// <param name="Url">An address that the request itself named, or null.</param>
internal sealed record WebhookEvent(string ProjectId, string Type, DateTimeOffset At, byte[] Data, string? Url = null);
