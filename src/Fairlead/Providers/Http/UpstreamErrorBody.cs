using System.Text.Json;

namespace Fairlead.Providers.Http;

/// <summary>What a provider's error body says, whichever of the usual shapes it has. Not yet fit for clients.</summary>
internal sealed record UpstreamErrorBody(string? Type, string? Code, string? Parameter, string? Message)
{
    public static readonly UpstreamErrorBody Empty = new(null, null, null, null);

    /// <summary>A wait that stands in the body (Google's RetryInfo).</summary>
    public TimeSpan? RetryDelay { get; init; }

    /// <summary>Further machine-readable reasons (Google's ErrorInfo, Azure's inner error).</summary>
    public string? Reason { get; init; }

    /// <summary>
    /// Reads <c>{error:{message,type,param,code}}</c> (OpenAI, Azure, vLLM, Anthropic), <c>{error:{code,message,status,details}}</c> and the same in a list
    /// (Google), <c>{error:"…"}</c> (Ollama), <c>{object:"error",message,…}</c> (older vLLM) and <c>{detail:…}</c>. Anything else is <see cref="Empty"/>.
    /// </summary>
    public static UpstreamErrorBody Parse(ReadOnlyMemory<byte> body)
    {
        if (body.IsEmpty) return Empty;
        try
        {
            using var document = JsonDocument.Parse(body);
            var root = document.RootElement;
            if (root.ValueKind == JsonValueKind.Array && root.GetArrayLength() > 0) root = root[0];
            if (root.ValueKind != JsonValueKind.Object) return Empty;
            if (root.TryGetProperty("error", out var error))
            {
                if (error.ValueKind == JsonValueKind.String) return Empty with { Message = error.GetString() };
                if (error.ValueKind == JsonValueKind.Object) return ReadObject(error);
            }
            return ReadObject(root);
        }
        catch (JsonException)
        {
            return Empty;
        }
        catch (InvalidOperationException)
        {
            // A string with half a surrogate pair is valid JSON, but no text.
            return Empty;
        }
    }

    private static UpstreamErrorBody ReadObject(JsonElement error)
    {
        var result = new UpstreamErrorBody(Text(error, "type") ?? Text(error, "status"), Text(error, "code"), Text(error, "param"), Text(error, "message") ?? Text(error, "detail"));
        if (error.TryGetProperty("innererror", out var inner) && inner.ValueKind == JsonValueKind.Object) result = result with { Reason = Text(inner, "code") };
        if (error.TryGetProperty("details", out var details) && details.ValueKind == JsonValueKind.Array)
        {
            foreach (var detail in details.EnumerateArray())
            {
                if (detail.ValueKind != JsonValueKind.Object) continue;
                if (Text(detail, "retryDelay") is { } delay) result = result with { RetryDelay = RetryAfterReader.ReadDuration(delay) };
                if (Text(detail, "reason") is { } reason) result = result with { Reason = reason };
            }
        }
        return result;
    }

    // Codes come as strings and as numbers.
    private static string? Text(JsonElement element, string name) =>
        !element.TryGetProperty(name, out var value) ? null
        : value.ValueKind == JsonValueKind.String ? value.GetString()
        : value.ValueKind == JsonValueKind.Number ? value.GetRawText()
        : null;
}
