using System.Buffers.Text;
using System.Collections.Frozen;
using System.Security.Cryptography;
using System.Text.Json;
using Fairlead.Policies.Checking;

namespace Fairlead.Auditing.Content;

/// <summary>
/// Writes the content of a request in the form of its dialect: messages, instructions, tools with their calls and results, inputs of
/// embeddings. Settings, credentials and sealed reasoning are left out. Of files in base64, only type, size and hash are written.
/// </summary>
internal static class InputContent
{
    private const int MaxDepth = 1024;
    private const int ShortestFile = 16;

    /// <summary>Texts of the body that are no content, and in the record where they matter.</summary>
    private static readonly FrozenSet<string> Settings = FrozenSet.Create(StringComparer.Ordinal,
        "model", "user", "safety_identifier", "metadata", "service_tier", "prompt_cache_key", "prompt_cache_retention", "encoding_format",
        "truncation", "anthropic_version", "reasoning_effort", "verbosity", "class", "tier", "task", "container", "background", "store",
        "webhook_url");

    /// <param name="body">The body of the request.</param>
    /// <param name="redaction">Redacts texts; null to write them as they are.</param>
    /// <param name="json">Receives the content.</param>
    /// <returns>False if the body is not valid JSON; something was written then.</returns>
    public static bool TryWrite(ReadOnlySpan<byte> body, ContentRedaction? redaction, BoundedJson json)
    {
        try
        {
            var reader = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = MaxDepth });
            var containers = new Stack<(string Name, bool IsArray)>();
            var name = "";
            while (reader.Read())
            {
                var (container, isArray) = containers.Count > 0 ? containers.Peek() : ("", false);
                switch (reader.TokenType)
                {
                    case JsonTokenType.PropertyName:
                        name = ContentReader.TextOf(ref reader);
                        if (IsLeftOut(name, container, containers.Count == 1, ref reader)) break;
                        if (!json.Name(redaction?.ApplyToName(name) ?? name)) reader.Skip();
                        break;
                    case JsonTokenType.EndObject:
                        containers.Pop();
                        json.EndObject();
                        break;
                    case JsonTokenType.EndArray:
                        containers.Pop();
                        json.EndArray();
                        break;
                    case var _ when isArray && json.IsFull:
                        json.Omit();
                        reader.Skip();
                        break;
                    case JsonTokenType.StartObject:
                        containers.Push((isArray ? container : name, false));
                        json.StartObject();
                        break;
                    case JsonTokenType.StartArray:
                        containers.Push((isArray ? container : name, true));
                        json.StartArray();
                        break;
                    case JsonTokenType.String:
                        Write(ContentReader.TextOf(ref reader), isArray ? container : name, redaction, json);
                        break;
                    default:
                        json.Raw(reader.ValueSpan);
                        break;
                }
            }
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    // The reader is at the name; a value that is left out is skipped.
    private static bool IsLeftOut(string name, string container, bool isTop, ref Utf8JsonReader reader)
    {
        var isLeftOut = ContentFields.IsSetting(name, container, isTop) || ContentFields.IsSealed(name) || (isTop && Settings.Contains(name))
            || (name is "authorization" or "authorization_token" && container is "tools" or "mcp_servers");
        if (!isLeftOut && isTop)
        {
            // Numbers and switches at the top are settings.
            var value = reader;
            value.Read();
            isLeftOut = value.TokenType is JsonTokenType.Number or JsonTokenType.True or JsonTokenType.False or JsonTokenType.Null;
        }
        if (isLeftOut) reader.Skip();
        return isLeftOut;
    }

    private static void Write(string text, string name, ContentRedaction? redaction, BoundedJson json)
    {
        if (EncodedFile.IsPlace(name) && FileOf(text, name) is var (type, hash, bytes))
        {
            json.StartObject();
            if (type is not null && json.Name("media_type")) json.Text(redaction?.Apply(type) ?? type);
            if (json.Name("bytes")) json.Raw(System.Text.Encoding.ASCII.GetBytes(bytes.ToString(System.Globalization.CultureInfo.InvariantCulture)));
            if (json.Name("sha256")) json.Text(hash);
            json.EndObject();
            return;
        }
        json.Text(redaction?.Apply(text) ?? text);
    }

    private static (string? MediaType, string Hash, int Bytes)? FileOf(string text, string name)
    {
        var (type, start) = ((string?)null, 0);
        if (text.StartsWith("data:", StringComparison.OrdinalIgnoreCase))
        {
            var comma = text.IndexOf(',', StringComparison.Ordinal);
            if (comma < 0 || !text.AsSpan(0, comma).EndsWith(";base64", StringComparison.OrdinalIgnoreCase)) return null;
            type = text[5..comma].Split(';')[0];
            start = comma + 1;
        }
        else if (name is not ("data" or "file_data" or "bytes" or "b64_json") || text.Length < ShortestFile)
        {
            return null;
        }
        if (!Base64.IsValid(text.AsSpan(start))) return null;
        var bytes = Convert.FromBase64String(text[start..]);
        return (type, Convert.ToHexStringLower(SHA256.HashData(bytes)), bytes.Length);
    }
}
