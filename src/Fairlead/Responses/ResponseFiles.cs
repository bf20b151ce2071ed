using System.Buffers.Text;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Files;
using Fairlead.Memory;
using Fairlead.Pipeline;

namespace Fairlead.Responses;

/// <summary>
/// Replaces the ids of files in a request by their content, because no provider knows the gateway's ids. The stored request has the content
/// too, so that it outlives the file. Thread-safe.
/// </summary>
internal sealed class ResponseFiles(FileStore files, IFileContents contents)
{
    private const int MaxDepth = 4;

    private const int MaxFiles = 100;

    /// <summary>Rewrites the request and reads it again. Null if there is no error.</summary>
    public async ValueTask<GatewayError?> InlineAsync(GatewayCall call, RequestBounds bounds, CancellationToken cancellationToken)
    {
        JsonObject body;
        var references = new List<FileReference>();
        using var held = new MemoryLease(call.Memory);
        // The tree of nodes: a copy of the bytes, and an index of them.
        if (!held.TryTake(2L * call.Body.Length)) return MemoryBudget.Overloaded;
        try
        {
            body = (JsonObject)JsonNode.Parse(call.Body.WrittenSpan, documentOptions: new JsonDocumentOptions { MaxDepth = 1024 })!;
            Find(body["input"], "input", 0, references);
        }
        catch (ArgumentException)
        {
            return new GatewayError(
                ErrorCode.InvalidParameter, "An object of the input has two members with one name; send each name once.")
            {
                OpenAiCode = "invalid_value",
                Parameter = "input",
            };
        }
        if (references.Count > MaxFiles) return GatewayError.Invalid("input", $"A request can refer to at most {MaxFiles} files.");
        var bytes = 0L;
        foreach (var reference in references)
        {
            if (await files.FindAsync(call.Caller.ProjectId, reference.FileId, cancellationToken) is not { } file)
            {
                return FileEndpoints.NotFound(reference.FileId) with { Parameter = reference.Path };
            }
            // As base64.
            bytes += (file.Bytes + 2) / 3 * 4;
            if (bytes > bounds.MaxMediaBytes)
            {
                var message = string.Create(
                    CultureInfo.InvariantCulture, $"The files of the request exceed {bounds.MaxMediaBytes} bytes of base64.");
                return new GatewayError(ErrorCode.PayloadTooLarge, message) { Parameter = reference.Path };
            }
            // The content, and its base64 until the request is rewritten.
            if (!held.TryTake(3 * file.Bytes)) return MemoryBudget.Overloaded;
            if (await ReplaceAsync(reference, file, cancellationToken) is { } error) return error;
        }

        call.Body.Clear();
        using (var json = new Utf8JsonWriter(call.Body, ErrorBodyWriter.WriterOptions)) body.WriteTo(json);
        // Keep what the headers set.
        var extension = call.Facts.Extension;
        call.Facts = new RequestFacts();
        var wrong = call.Dialect.Requests.Read(call, bounds);
        call.Facts.Extension = extension;
        return wrong;
    }

    private async Task<GatewayError?> ReplaceAsync(FileReference reference, StoredFile file, CancellationToken cancellationToken)
    {
        var part = reference.Part;
        var content = new byte[file.Bytes];
        await using (var stream = contents.Open(file.Id)) await stream.ReadExactlyAsync(content, cancellationToken);
        var isImage = part["type"]!.GetValue<string>() == "input_image";
        var type = TypeOf(content, file.FileName);
        if (isImage && !type.StartsWith("image/", StringComparison.Ordinal))
        {
            return Invalid(reference, $"The file '{file.Id}' is not a PNG, JPEG, GIF or WebP image.");
        }
        var other = isImage ? "image_url" : part.ContainsKey("file_url") ? "file_url" : "file_data";
        if (part[other] is not null) return Invalid(reference, $"'file_id' and '{other}' cannot be sent together.");
        part.Remove("file_id");
        part[isImage ? "image_url" : "file_data"] = DataUrl(type, content);
        if (!isImage && part["filename"] is null) part["filename"] = file.FileName;
        return null;
    }

    private static GatewayError Invalid(FileReference reference, string message) =>
        GatewayError.Invalid(reference.Path, message) with { OpenAiCode = "invalid_value" };

    // As UTF-8 and never as a string: a quarter of the memory, and the writer needs no more than it writes.
    private static JsonValue DataUrl(string type, ReadOnlySpan<byte> content)
    {
        var prefix = System.Text.Encoding.ASCII.GetBytes($"\"data:{type};base64,");
        var json = new byte[prefix.Length + Base64.GetMaxEncodedToUtf8Length(content.Length) + 1];
        prefix.CopyTo(json, 0);
        Base64.EncodeToUtf8(content, json.AsSpan(prefix.Length), out _, out var written);
        json[prefix.Length + written] = (byte)'"';
        // Never disposed: it is in use as long as the node, and rents no memory for this size.
        return JsonValue.Create(JsonDocument.Parse(json.AsMemory(0, prefix.Length + written + 1)).RootElement)!;
    }

    // Input, item, content, part: no file is deeper.
    private static void Find(JsonNode? node, string path, int depth, List<FileReference> references)
    {
        if (depth > MaxDepth) return;
        if (node is JsonArray items)
        {
            for (var i = 0; i < items.Count; i++)
            {
                Find(items[i], $"{path}[{i.ToString(CultureInfo.InvariantCulture)}]", depth + 1, references);
            }
        }
        if (node is not JsonObject part) return;
        if (part["type"] is JsonValue type && type.TryGetValue<string>(out var name) && name is "input_file" or "input_image"
            && part["file_id"] is JsonValue id && id.TryGetValue<string>(out var file))
        {
            references.Add(new FileReference(part, $"{path}.file_id", file));
            return;
        }
        // Content of messages, and output of tools.
        Find(part["content"], $"{path}.content", depth + 1, references);
        Find(part["output"], $"{path}.output", depth + 1, references);
    }

    // By the content; for texts, only the name shows the type.
    private static string TypeOf(ReadOnlySpan<byte> content, string name)
    {
        if (content.StartsWith("%PDF-"u8)) return "application/pdf";
        if (content.StartsWith((ReadOnlySpan<byte>)[0x89, (byte)'P', (byte)'N', (byte)'G'])) return "image/png";
        if (content.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xD8, 0xFF])) return "image/jpeg";
        if (content.StartsWith("GIF8"u8)) return "image/gif";
        if (content.Length > 12 && content.StartsWith("RIFF"u8) && content[8..].StartsWith("WEBP"u8)) return "image/webp";
        return Path.GetExtension(name).ToLowerInvariant() switch
        {
            ".md" => "text/markdown",
            ".json" => "application/json",
            ".csv" => "text/csv",
            ".html" or ".htm" => "text/html",
            ".xml" => "application/xml",
            _ => System.Text.Unicode.Utf8.IsValid(content) ? "text/plain" : "application/octet-stream",
        };
    }

    private sealed record FileReference(JsonObject Part, string Path, string FileId);
}
