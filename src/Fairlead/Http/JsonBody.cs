using System.Buffers;
using System.Text.Json;
using System.Text.Unicode;
using Fairlead.Errors;
using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;

namespace Fairlead.Http;

/// <summary>
/// Reads the body of a request that creates or changes a resource: JSON of limited size. Every error is of the catalogue.
/// </summary>
internal static class JsonBody
{
    /// <summary>Far above the largest sensible key (500 models, 100 networks).</summary>
    public const int MaxBytes = 256 * 1024;

    private static readonly JsonDocumentOptions Options = new() { MaxDepth = 16, AllowDuplicateProperties = false };

    /// <summary>The body as one JSON object; the caller disposes the document.</summary>
    /// <param name="request">The request.</param>
    /// <param name="isOptional">Whether a missing body is an empty object.</param>
    /// <param name="cancellationToken">Stops the read.</param>
    /// <exception cref="GatewayErrorException">The body is missing, too large, of another type or not a JSON object.</exception>
    public static async Task<JsonDocument> ReadAsync(HttpRequest request, bool isOptional, CancellationToken cancellationToken)
    {
        if (!isOptional) CheckType(request);
        var bytes = await ReadBytesAsync(request, cancellationToken);
        if (isOptional)
        {
            if (bytes.Length == 0) return JsonDocument.Parse("{}");
            CheckType(request);
        }
        if (bytes.Length == 0) throw Refused(ErrorCode.MalformedJson, "The body is empty; send a JSON object.");
        if (!Utf8.IsValid(bytes)) throw Refused(ErrorCode.MalformedJson, "The body is not valid UTF-8.");
        try
        {
            var document = JsonDocument.Parse(bytes, Options);
            if (document.RootElement.ValueKind == JsonValueKind.Object) return document;
            var kind = document.RootElement.ValueKind;
            document.Dispose();
            throw Refused(ErrorCode.MalformedJson, $"The body is a JSON {JsonTypeNames.Of(kind)}; send a JSON object.");
        }
        catch (JsonException error)
        {
            throw Refused(ErrorCode.MalformedJson, error.LineNumber is { } line && error.BytePositionInLine is { } position
                ? $"The body is not valid JSON: reading stopped at line {line + 1}, byte {position + 1}."
                : "The body is not valid JSON, is nested too deeply or names a field twice.");
        }
        catch (InvalidOperationException)
        {
            // A name that contains half of a surrogate pair, written as an escape.
            throw Refused(ErrorCode.MalformedJson, "A name in the body is not valid Unicode.");
        }
    }

    private static void CheckType(HttpRequest request)
    {
        if (RequestReader.CheckEncoding(request) is { } encoded) throw new GatewayErrorException(encoded);
        if (MediaTypeHeaderValue.TryParse(request.ContentType, out var type)
            && (type.MediaType.Equals("application/json", StringComparison.OrdinalIgnoreCase)
                || (HttpMethods.IsPatch(request.Method)
                    && type.MediaType.Equals("application/merge-patch+json", StringComparison.OrdinalIgnoreCase)))
            && (!type.Charset.HasValue || type.Charset.Equals("utf-8", StringComparison.OrdinalIgnoreCase)
                || type.Charset.Equals("\"utf-8\"", StringComparison.OrdinalIgnoreCase)))
        {
            return;
        }
        throw Refused(ErrorCode.UnsupportedMediaType, "The body must be declared as JSON in UTF-8.");
    }

    private static async Task<byte[]> ReadBytesAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        if (request.ContentLength > MaxBytes) throw TooLarge();
        var reader = request.BodyReader;
        try
        {
            while (true)
            {
                var read = await reader.ReadAsync(cancellationToken);
                if (read.Buffer.Length > MaxBytes)
                {
                    reader.AdvanceTo(read.Buffer.End);
                    throw TooLarge();
                }
                if (read.IsCompleted)
                {
                    var bytes = read.Buffer.ToArray();
                    reader.AdvanceTo(read.Buffer.End);
                    return bytes;
                }
                reader.AdvanceTo(read.Buffer.Start, read.Buffer.End);
            }
        }
        catch (IOException error)
        {
            // Includes a refusal by the transport.
            throw new GatewayErrorException(RequestReader.BrokenBody(error));
        }
    }

    private static GatewayErrorException TooLarge() =>
        Refused(ErrorCode.PayloadTooLarge, $"The body is larger than {MaxBytes / 1024} KiB, the limit of an admin request.");

    private static GatewayErrorException Refused(ErrorCode code, string message) => new(new GatewayError(code, message));
}
