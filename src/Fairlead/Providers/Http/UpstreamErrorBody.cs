using System.Globalization;
using System.Text.Json;

namespace Fairlead.Providers.Http;

/// <summary>The content of a provider's error body or error event, in any of the usual shapes. Not yet safe for clients.</summary>
internal sealed record UpstreamErrorBody(string? Type, string? Code, string? Parameter, string? Message)
{
    public static readonly UpstreamErrorBody Empty = new(null, null, null, null);

    // A deeper error is ignored.
    private const int MaxNesting = 4;

    /// <summary>A wait in the body (Google's RetryInfo).</summary>
    public TimeSpan? RetryDelay { get; init; }

    /// <summary>Further machine-readable reasons (Google's ErrorInfo, Azure's inner error).</summary>
    public string? Reason { get; init; }

    /// <summary>The HTTP status in the body, as a number or as a string; null when there is none.</summary>
    public int? Status { get; init; }

    /// <summary>
    /// The error of the server that a proxy calls, as the proxy returns it (OpenRouter's <c>metadata.raw</c>); used only for
    /// classification.
    /// </summary>
    public string? Inner { get; init; }

    /// <summary>Whether anything was found.</summary>
    public bool IsEmpty => Type is null && Code is null && Message is null && Reason is null && Status is null;

    /// <summary>
    /// Reads <c>{error:{message,type,param,code}}</c> (OpenAI, Azure, vLLM, Anthropic, llama.cpp),
    /// <c>{error:{code,message,status,details}}</c> and the same in a list (Google), <c>{error:"…"}</c> (Ollama, LM Studio, xAI),
    /// <c>{object:"error",message,…}</c> (Mistral, older vLLM), <c>{response:{error}}</c> (Responses), <c>{errors:[…]}</c> and
    /// <c>{detail:…}</c>. Anything else is <see cref="Empty"/>.
    /// </summary>
    public static UpstreamErrorBody Parse(ReadOnlyMemory<byte> body)
    {
        if (body.IsEmpty) return Empty;
        try
        {
            using var document = JsonDocument.Parse(body, new JsonDocumentOptions { MaxDepth = 512 });
            return Read(document.RootElement, 0);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // The latter for strings with half a surrogate pair: valid JSON, but not text.
            return Empty;
        }
    }

    /// <summary>The error in one event of a stream or in a body with a success status; null when there is none.</summary>
    public static UpstreamErrorBody? Find(ReadOnlySpan<byte> body)
    {
        if (body.IndexOf("error"u8) < 0 && body.IndexOf("response.failed"u8) < 0) return null;
        try
        {
            using var document = JsonDocument.Parse(body.ToArray(), new JsonDocumentOptions { MaxDepth = 512 });
            var root = document.RootElement;
            if (root.ValueKind == JsonValueKind.Array && root.GetArrayLength() > 0) root = root[0];
            return IsError(root) && Read(root, 0) is { IsEmpty: false } found ? found : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return null;
        }
    }

    private static bool IsError(JsonElement root)
    {
        if (root.ValueKind != JsonValueKind.Object) return false;
        if (root.TryGetProperty("error", out var error) && error.ValueKind is JsonValueKind.Object or JsonValueKind.String) return true;
        if (root.TryGetProperty("errors", out var errors) && errors.ValueKind == JsonValueKind.Array && errors.GetArrayLength() > 0)
        {
            return true;
        }
        if (Text(root, "object") == "error" || Text(root, "type") is "error" or "response.failed") return true;
        return false;
    }

    private static UpstreamErrorBody Read(JsonElement root, int depth)
    {
        if (root.ValueKind == JsonValueKind.Array && root.GetArrayLength() > 0) root = root[0];
        if (root.ValueKind == JsonValueKind.String) return Empty with { Message = root.GetString() };
        if (root.ValueKind != JsonValueKind.Object || depth > MaxNesting) return Empty;
        if (root.TryGetProperty("response", out var response) && response.ValueKind == JsonValueKind.Object
            && response.TryGetProperty("error", out _))
        {
            return Read(response, depth + 1);
        }
        if (root.TryGetProperty("errors", out var errors) && errors.ValueKind == JsonValueKind.Array && errors.GetArrayLength() > 0)
        {
            return Read(errors, depth + 1);
        }
        var outer = ReadObject(root, depth);
        if (!root.TryGetProperty("error", out var error)) return outer;
        // xAI: the text is the error, and the code is next to it.
        if (error.ValueKind == JsonValueKind.String) return outer with { Message = error.GetString() };
        if (error.ValueKind != JsonValueKind.Object) return outer;
        var inner = ReadObject(error, depth);
        return inner with { Status = inner.Status ?? outer.Status, Code = inner.Code ?? outer.Code };
    }

    private static UpstreamErrorBody ReadObject(JsonElement error, int depth)
    {
        var type = Text(error, "type");
        var result = new UpstreamErrorBody(
            type is null or "error" ? Text(error, "error_type") ?? Word(error, "status") : type,
            Text(error, "code"),
            Text(error, "param"),
            MessageOf(error, depth))
        {
            Status = StatusIn(error, "code") ?? StatusIn(error, "status") ?? StatusIn(error, "status_code")
                ?? StatusIn(error, "statusCode"),
        };
        if (error.TryGetProperty("innererror", out var inner) && inner.ValueKind == JsonValueKind.Object)
        {
            result = result with { Reason = Text(inner, "code") };
        }
        if (error.TryGetProperty("metadata", out var metadata) && metadata.ValueKind == JsonValueKind.Object
            && Text(metadata, "raw") is { } raw)
        {
            result = result with { Inner = raw };
        }
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

    // A text. If a server validates bodies with a schema: a list or an object that contains one.
    private static string? MessageOf(JsonElement error, int depth)
    {
        foreach (var name in (ReadOnlySpan<string>)["message", "detail", "msg", "error_description"])
        {
            if (!error.TryGetProperty(name, out var value)) continue;
            if (value.ValueKind == JsonValueKind.String) return value.GetString();
            if (value.ValueKind is JsonValueKind.Object or JsonValueKind.Array && Read(value, depth + 1).Message is { } found) return found;
        }
        return null;
    }

    private static string? Word(JsonElement element, string name) =>
        element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static int? StatusIn(JsonElement element, string name) =>
        Text(element, name) is { Length: 3 } text && int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var status)
            && status is >= 400 and < 600 ? status : null;

    // Codes are strings or numbers.
    private static string? Text(JsonElement element, string name) =>
        !element.TryGetProperty(name, out var value) ? null
        : value.ValueKind == JsonValueKind.String ? value.GetString()
        : value.ValueKind == JsonValueKind.Number ? value.GetRawText()
        : null;
}
