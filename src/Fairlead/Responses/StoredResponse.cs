namespace Fairlead.Responses;

/// <summary>A finished response as it is stored: the object that readers get, and the items that a later call continues.</summary>
/// <param name="Id"><c>resp_…</c></param>
/// <param name="ProjectId">The project that owns it. No other project finds it.</param>
/// <param name="Status">completed, incomplete or failed.</param>
/// <param name="PreviousId">The response that it continues, or null.</param>
/// <param name="CreatedAt">When the call arrived.</param>
/// <param name="ExpiresAt">When it counts as deleted.</param>
/// <param name="Response">The Response object, JSON.</param>
/// <param name="Input">Items of the input, each with an id: a JSON array.</param>
/// <param name="Output">Items of the output with their seals: a JSON array.</param>
internal sealed record StoredResponse(
    string Id,
    string ProjectId,
    string Status,
    string? PreviousId,
    DateTimeOffset CreatedAt,
    DateTimeOffset ExpiresAt,
    byte[] Response,
    byte[] Input,
    byte[] Output)
{
    /// <summary>The key of the call; null in rows of earlier versions. Only written: erasures look for it in the database.</summary>
    public string? KeyId { get; init; }

    /// <summary>Who caused the call, as its client names them. Only written, too.</summary>
    public string? EndUser { get; init; }
}
