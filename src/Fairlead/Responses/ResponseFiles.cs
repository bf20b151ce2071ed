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
/// Puts the content of files in the place of their ids, before anything else looks at a request: ids are ours, and no provider knows them. What is stored of the request
/// has the content too, so that it outlives the file. Thread-safe.
/// </summary>
internal sealed class ResponseFiles(FileStore files, IFileContents contents)
{
    private const int MaxDepth = 4;

    private const int MaxFiles = 100;

    /// <summary>Writes the request anew and reads it again. Null when all is well.</summary>
    public async ValueTask<GatewayError?> InlineAsync(GatewayCall call, RequestBounds bounds, CancellationToken cancellationToken)
    {
        JsonObject body;
        var places = new List<FileReference>();
        using var held = new MemoryLease(call.Memory);
        // As a tree of nodes: a copy of the bytes, and what finds the parts in it.
        if (!held.TryTake(2L * call.Body.Length)) return MemoryBudget.Overloaded;
        try
        {
            body = (JsonObject)JsonNode.Parse(call.Body.WrittenSpan, documentOptions: new JsonDocumentOptions { MaxDepth = 1024 })!;
            Find(body["input"], "input", 0, places);
        }
        catch (ArgumentException)
        {
            return new GatewayError(ErrorCode.InvalidParameter, "A member name stands twice in one object of the input; send it once.") { OpenAiCode = "invalid_value", Parameter = "input" };
        }
        if (places.Count > MaxFiles) return GatewayError.Invalid("input", $"A request names at most {MaxFiles} files.");
        var bytes = 0L;
        foreach (var place in places)
        {
            if (await files.FindAsync(call.Caller.ProjectId, place.FileId, cancellationToken) is not { } file) return FileEndpoints.NotFound(place.FileId) with { Parameter = place.Path };
            // As base64.
            bytes += (file.Bytes + 2) / 3 * 4;
            if (bytes > bounds.MaxMediaBytes)
            {
                return new GatewayError(ErrorCode.PayloadTooLarge, string.Create(CultureInfo.InvariantCulture, $"The files of the request exceed {bounds.MaxMediaBytes} bytes of base64.")) { Parameter = place.Path };
            }
            // The content, and its base64 until the request is written anew.
            if (!held.TryTake(3 * file.Bytes)) return MemoryBudget.Overloaded;
            if (await PutAsync(place, file, cancellationToken) is { } fault) return fault;
        }

        call.Body.Clear();
        using (var json = new Utf8JsonWriter(call.Body, ErrorBodyWriter.WriterOptions)) body.WriteTo(json);
        // What headers said stays said.
        var extension = call.Facts.Extension;
        call.Facts = new RequestFacts();
        var wrong = call.Dialect.Requests.Read(call, bounds);
        call.Facts.Extension = extension;
        return wrong;
    }

    private async Task<GatewayError?> PutAsync(FileReference place, StoredFile file, CancellationToken cancellationToken)
    {
        var content = new byte[file.Bytes];
        await using (var stream = contents.Open(file.Id)) await stream.ReadExactlyAsync(content, cancellationToken);
        var isImage = place.Part["type"]!.GetValue<string>() == "input_image";
        var type = TypeOf(content, file.FileName);
        if (isImage && !type.StartsWith("image/", StringComparison.Ordinal)) return GatewayError.Invalid(place.Path, $"The file '{file.Id}' is no PNG, JPEG, GIF or WebP picture.") with { OpenAiCode = "invalid_value" };
        var other = isImage ? "image_url" : place.Part.ContainsKey("file_url") ? "file_url" : "file_data";
        if (place.Part[other] is not null) return GatewayError.Invalid(place.Path, $"'file_id' and '{other}' cannot both be there.") with { OpenAiCode = "invalid_value" };
        place.Part.Remove("file_id");
        place.Part[isImage ? "image_url" : "file_data"] = DataUrl(type, content);
        if (!isImage && place.Part["filename"] is null) place.Part["filename"] = file.FileName;
        return null;
    }

    // As UTF-8 and never as a string: a quarter of the memory, and the writer asks for no more than it writes.
    private static JsonValue DataUrl(string type, ReadOnlySpan<byte> content)
    {
        var prefix = System.Text.Encoding.ASCII.GetBytes($"\"data:{type};base64,");
        var json = new byte[prefix.Length + Base64.GetMaxEncodedToUtf8Length(content.Length) + 1];
        prefix.CopyTo(json, 0);
        Base64.EncodeToUtf8(content, json.AsSpan(prefix.Length), out _, out var written);
        json[prefix.Length + written] = (byte)'"';
        // Never disposed of: it lives as long as the node, and rents nothing of that size.
        return JsonValue.Create(JsonDocument.Parse(json.AsMemory(0, prefix.Length + written + 1)).RootElement)!;
    }

    // Input, item, content, part: what lies deeper is nobody's file.
    private static void Find(JsonNode? node, string path, int depth, List<FileReference> places)
    {
        if (depth > MaxDepth) return;
        if (node is JsonArray items)
        {
            for (var i = 0; i < items.Count; i++) Find(items[i], $"{path}[{i.ToString(CultureInfo.InvariantCulture)}]", depth + 1, places);
        }
        if (node is not JsonObject part) return;
        if (part["type"] is JsonValue type && type.TryGetValue<string>(out var word) && word is "input_file" or "input_image" && part["file_id"] is JsonValue id && id.TryGetValue<string>(out var file))
        {
            places.Add(new FileReference(part, $"{path}.file_id", file));
            return;
        }
        // Content of messages, and output of tools.
        Find(part["content"], $"{path}.content", depth + 1, places);
        Find(part["output"], $"{path}.output", depth + 1, places);
    }

    // What it is, not what it is called; of texts only the name tells.
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
