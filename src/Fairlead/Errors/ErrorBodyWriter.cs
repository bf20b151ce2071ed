using System.Buffers;
using System.Text.Json;

namespace Fairlead.Errors;

/// <summary>The shape in which a family of clients expects its errors.</summary>
internal enum ErrorShape
{
    /// <summary><c>{"error":{message,type,param,code,…}}</c></summary>
    OpenAi,

    /// <summary><c>{"type":"error","error":{type,message},"request_id"}</c></summary>
    Anthropic,

    /// <summary>RFC 9457 problem details.</summary>
    Problem,
}

/// <summary>Turns an error into the status and body of a dialect. No other class does this.</summary>
internal static class ErrorBodyWriter
{
    public static int StatusOf(GatewayError error, ErrorShape shape) =>
        shape == ErrorShape.Anthropic ? error.Definition.AnthropicStatus : error.Definition.Status;

    public static string ContentTypeOf(ErrorShape shape) => shape == ErrorShape.Problem ? "application/problem+json" : "application/json";

    /// <summary>
    /// Writes the JSON body of <paramref name="error"/> in <paramref name="shape"/>, with links to <paramref name="site"/>.
    /// </summary>
    public static void WriteBody(IBufferWriter<byte> output, GatewayError error, ErrorShape shape, string requestId,
        PublicAddress site = default)
    {
        using var json = new Utf8JsonWriter(output, WriterOptions);
        WriteBody(json, error, shape, requestId, site);
    }

    /// <summary>Writes the JSON body as one value into a document that is being written (an error event of a stream).</summary>
    public static void WriteBody(Utf8JsonWriter json, GatewayError error, ErrorShape shape, string requestId, PublicAddress site = default)
    {
        var definition = error.Definition;
        json.WriteStartObject();
        switch (shape)
        {
            case ErrorShape.OpenAi:
                json.WriteStartObject("error");
                json.WriteString("message", error.Message);
                json.WriteString("type", error.OpenAiType ?? definition.OpenAiType);
                json.WriteString("param", error.Parameter);
                json.WriteString("code", error.OpenAiCode ?? definition.Name);
                json.WriteString("request_id", requestId);
                WriteAdvice(json, error, shape, site);
                json.WriteEndObject();
                break;

            case ErrorShape.Anthropic:
                json.WriteString("type", "error");
                json.WriteStartObject("error");
                json.WriteString("type", definition.AnthropicType);
                // This dialect has no error codes. Clients that compact a conversation search for this text.
                json.WriteString("message", error.Code == ErrorCode.ContextLengthExceeded ? $"prompt is too long: {error.Message}"
                    : error.Message);
                json.WriteString("code", definition.Name);
                json.WriteString("param", error.Parameter);
                WriteAdvice(json, error, shape, site);
                json.WriteEndObject();
                json.WriteString("request_id", requestId);
                break;

            case ErrorShape.Problem:
                json.WriteString("type", site.Link(definition.DocPath));
                json.WriteString("title", definition.Title);
                json.WriteNumber("status", definition.Status);
                json.WriteString("detail", error.Message);
                json.WriteString("code", definition.Name);
                json.WriteString("request_id", requestId);
                WriteAdvice(json, error, shape, site);
                json.WriteStartArray("errors");
                foreach (var fault in error.Faults)
                {
                    json.WriteStartObject();
                    json.WriteString("pointer", fault.Pointer);
                    json.WriteString("detail", fault.Detail);
                    json.WriteEndObject();
                }
                if (error.Faults.Count == 0 && error.Parameter is { } parameter)
                {
                    json.WriteStartObject();
                    json.WriteString("pointer", $"/{parameter}");
                    json.WriteString("detail", error.Message);
                    json.WriteEndObject();
                }
                json.WriteEndArray();
                break;
        }
        json.WriteEndObject();
    }

    internal static readonly JsonWriterOptions WriterOptions = new()
    {
        // The bodies are served as JSON, never inside HTML. Escaping every non-ASCII letter would make them unreadable.
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private static void WriteAdvice(Utf8JsonWriter json, GatewayError error, ErrorShape shape, PublicAddress site)
    {
        var definition = error.Definition;
        json.WriteBoolean("retryable", error.IsRetryable);
        if (error.RetryAfter is { } wait) json.WriteNumber("retry_after_ms", (long)Math.Ceiling(wait.TotalMilliseconds));
        else json.WriteNull("retry_after_ms");
        json.WriteString("remedy", RemedyOf(error, shape));
        json.WriteString("doc_url", site.Link(definition.DocPath));
        if (error.Details is { } details)
        {
            json.WritePropertyName("details");
            details.WriteTo(json);
        }
        else
        {
            json.WriteNull("details");
        }
    }

    // The general remedy refers to `param`. An error of the whole body names no field, and problem details name the field elsewhere.
    private static string RemedyOf(GatewayError error, ErrorShape shape)
    {
        var remedy = ForInterface(error.Remedy ?? error.Definition.Remedy, shape);
        if (!remedy.Contains("`param`", StringComparison.Ordinal)) return remedy;
        if (error.Parameter is null && error.Faults.Count == 0) return "Change the request as the message says.";
        return shape == ErrorShape.Problem ? remedy.Replace("`param`", "`errors`", StringComparison.Ordinal) : remedy;
    }

    // Each interface has its own list of models.
    private static string ForInterface(string remedy, ErrorShape shape) => shape == ErrorShape.Problem
        ? remedy.Replace("GET /v1/models", "GET /v2/models", StringComparison.Ordinal) : remedy;

    // The catalogue's remedies are for model calls. Other endpoints have their own.
    internal static GatewayError ForEndpoint(GatewayError error, string path)
    {
        if (error.Remedy is not null || CallsModels(path)) return error;
        return error.Code switch
        {
            ErrorCode.UnsupportedParameter =>
                error with { Remedy = "Leave out the field named in `param`; the message lists the fields that this endpoint accepts." },
            ErrorCode.PayloadTooLarge => error with { Remedy = "Send less; the message names the limit." },
            ErrorCode.UnsupportedMediaType when path.StartsWith("/v1/files", StringComparison.OrdinalIgnoreCase) =>
                error with { Remedy = "Send the file as multipart/form-data with the parts `file` and `purpose`." },
            _ => error,
        };
    }

    private static bool CallsModels(string path)
    {
        foreach (var own in (ReadOnlySpan<string>)["/v1/chat", "/v1/completions", "/v1/embeddings", "/v1/messages", "/v1/responses",
            "/v1/moderations", "/v2/generations"])
        {
            if (path.StartsWith(own, StringComparison.OrdinalIgnoreCase)) return true;
        }
        return false;
    }
}
