using System.Globalization;
using Fairlead.Errors;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Fairlead.Http;

/// <summary>Reads a request's body once, with a size limit, into one pooled buffer.</summary>
internal static class RequestReader
{
    /// <summary>Why the body cannot be JSON of this API, judged by the headers alone; null if it can.</summary>
    public static GatewayError? CheckHeaders(HttpRequest request, RequestBounds bounds)
    {
        if (request.ContentLength > bounds.MaxBodyBytes) return TooLarge(bounds);
        if (CheckEncoding(request) is { } encoded) return encoded;
        var type = request.ContentType;
        // The usual value, without parsing it.
        if (type is null or "application/json") return null;
        if (!Microsoft.Net.Http.Headers.MediaTypeHeaderValue.TryParse(type, out var media)
            || !(media.MediaType.Equals("application/json", StringComparison.OrdinalIgnoreCase)
                || media.Suffix.Equals("json", StringComparison.OrdinalIgnoreCase)))
        {
            return new GatewayError(ErrorCode.UnsupportedMediaType, "The body must be JSON.");
        }
        if (media.Charset.HasValue && !media.Charset.Equals("utf-8", StringComparison.OrdinalIgnoreCase)
            && !media.Charset.Equals("\"utf-8\"", StringComparison.OrdinalIgnoreCase))
        {
            return new GatewayError(ErrorCode.UnsupportedMediaType, "The body must be encoded as UTF-8.");
        }
        return null;
    }

    /// <summary>Why the body cannot be read with its content encoding; null if it has none.</summary>
    public static GatewayError? CheckEncoding(HttpRequest request) =>
        request.Headers.ContentEncoding.Count == 0 || request.Headers.ContentEncoding.ToString()
            .Equals("identity", StringComparison.OrdinalIgnoreCase)
            ? null
            : new GatewayError(ErrorCode.UnsupportedMediaType,
                "Compressed bodies are not accepted.") { Remedy = "Send the body without Content-Encoding." };

    /// <summary>Reads the whole body. The caller also disposes the buffer after an error.</summary>
    public static async ValueTask<GatewayError?> ReadAsync(HttpContext context, PooledBuffer buffer, RequestBounds bounds)
    {
        // The gateway enforces the limit itself, so that the error has the format of the caller's dialect.
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size) size.MaxRequestBodySize = null;
        buffer.Expected = (int)Math.Min(context.Request.ContentLength ?? 0, bounds.MaxBodyBytes);
        var reader = context.Request.BodyReader;
        while (true)
        {
            var result = await reader.ReadAsync(context.RequestAborted);
            var sequence = result.Buffer;
            if (buffer.Length + sequence.Length > bounds.MaxBodyBytes)
            {
                reader.AdvanceTo(sequence.End);
                return TooLarge(bounds);
            }
            try
            {
                foreach (var segment in sequence) buffer.Write(segment.Span);
            }
            catch (MemoryExhaustedException exhausted)
            {
                return exhausted.Error;
            }
            finally
            {
                // Also after a refusal: the connection cannot be used again while a read is pending.
                reader.AdvanceTo(sequence.End);
            }
            if (result.IsCompleted) break;
        }
        return buffer.Length > 0 ? null : new GatewayError(ErrorCode.MalformedJson, "The body is empty; a JSON object is expected.");
    }

    /// <summary>The error for an exception of the transport while the body was read.</summary>
    public static GatewayError BrokenBody(Exception exception) => (exception as BadHttpRequestException)?.StatusCode switch
    {
        StatusCodes.Status413PayloadTooLarge => new GatewayError(ErrorCode.PayloadTooLarge, "The body is larger than the server accepts."),
        StatusCodes.Status408RequestTimeout =>
            new GatewayError(ErrorCode.MalformedJson,
            "The body arrived too slowly, so the server stopped reading it.") { Remedy = "Send the whole body without a pause." },
        _ => new GatewayError(ErrorCode.MalformedJson, "The body ended before it was complete, or its framing is broken."),
    };

    /// <summary>The error for a body beyond the limit.</summary>
    public static GatewayError TooLarge(RequestBounds bounds) =>
        new(ErrorCode.PayloadTooLarge,
            string.Create(CultureInfo.InvariantCulture, $"The body is larger than {bounds.MaxBodyBytes:N0} bytes."));
}
