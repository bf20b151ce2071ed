namespace Fairlead.Batches;

/// <summary>The endpoints that a batch may be for, and the dialects that serve them.</summary>
internal static class BatchEndpointNames
{
    private static readonly (string Path, string Dialect)[] Known =
    [
        ("/v1/chat/completions", "openai.chat"), ("/v1/responses", "openai.responses"), ("/v1/embeddings", "openai.embeddings"), ("/v1/completions", "openai.completions"),
    ];

    public static readonly IReadOnlyList<string> All = [.. Known.Select(one => one.Path)];

    /// <summary>Null when there is no such endpoint.</summary>
    public static string? DialectOf(string path) => Array.Find(Known, one => one.Path == path).Dialect;
}
