namespace Fairlead.Pipeline;

/// <summary>
/// What running calls and accepted jobs hold of budgets, over all nodes. <c>GET /admin/v1/usage</c> shows it beside what is settled if an
/// implementation is registered. Thread-safe.
/// </summary>
internal interface IReservedAmounts
{
    /// <summary>One entry for each combination of caller and model that holds something now, in any order.</summary>
    ValueTask<IReadOnlyList<ReservedAmount>> ReadAsync(CancellationToken cancellationToken);
}

/// <summary>What the calls of one key to one model hold.</summary>
/// <param name="OrganizationId">The payer.</param>
/// <param name="ProjectId">The key's project.</param>
/// <param name="KeyId">The key.</param>
/// <param name="Model">The catalogue's name.</param>
/// <param name="PicoUsd">Picodollars, 0 or more.</param>
internal readonly record struct ReservedAmount(string OrganizationId, string ProjectId, string KeyId, string Model, long PicoUsd);
