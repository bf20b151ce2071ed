namespace Fairlead.Batches;

/// <summary>Addresses of the dialects whose requests a batch may hold.</summary>
internal static class BatchEndpointNames
{
    public static readonly IReadOnlyList<string> All = ["/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/completions"];
}
