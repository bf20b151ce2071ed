namespace Fairlead.Pipeline;

/// <summary>
/// What running calls and accepted jobs hold of budgets, over all nodes. <c>GET /admin/v1/usage</c> shows it beside what is settled if an
/// implementation is registered. Thread-safe.
/// </summary>
internal interface IReservedAmounts
{
    /// <summary>Entries of what is held now, in any order. Several may have the same properties.</summary>
    ValueTask<IReadOnlyList<ReservedAmount>> ReadAsync(CancellationToken cancellationToken);
}

/// <summary>What the calls of one key to one model hold, of one class, accepted in one hour.</summary>
/// <param name="OrganizationId">The payer.</param>
/// <param name="ProjectId">The key's project.</param>
/// <param name="KeyId">The key.</param>
/// <param name="Model">The catalogue's name.</param>
/// <param name="Class">The class.</param>
/// <param name="Hour">Start of the hour in which they were accepted, in UTC.</param>
/// <param name="PicoUsd">Picodollars, 0 or more.</param>
internal readonly record struct ReservedAmount(
    string OrganizationId, string ProjectId, string KeyId, string Model, string Class, DateTimeOffset Hour, long PicoUsd);
