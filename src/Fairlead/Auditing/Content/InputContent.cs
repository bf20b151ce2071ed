using System.Collections.Frozen;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Fairlead.Policies.Checking;

namespace Fairlead.Auditing.Content;

/// <summary>
/// Writes the content of a request in the form of its dialect: messages, instructions, tools with their calls and results, inputs of
/// embeddings. Settings, credentials and what a vendor has sealed are left out. Of files, only type, size and hash are written.
/// </summary>
internal static class InputContent
{
    private const int MaxDepth = 1024;

    /// <summary>The object of the API that contains the items of a response.</summary>
    private const string ItemContainer = "output";

    /// <summary>Texts of the body that are no content, and in the record where they matter.</summary>
    private static readonly FrozenSet<string> Settings = FrozenSet.Create(StringComparer.Ordinal,
        "model", "user", "safety_identifier", "metadata", "service_tier", "prompt_cache_key", "prompt_cache_retention", "encoding_format",
        "truncation", "anthropic_version", "reasoning_effort", "verbosity", "class", "tier", "task", "container", "background", "store",
        "webhook_url");

    /// <param name="body">The body of the request.</param>
    /// <param name="redaction">Redacts texts; null to write them as they are.</param>
    /// <param name="json">Receives the content.</param>
    /// <returns>False if the body is not valid JSON; something was written then.</returns>
    public static bool TryWrite(ReadOnlySpan<byte> body, ContentRedaction? redaction, BoundedJson json) =>
        TryWrite(body, redaction, json, isItem: false);

    /// <summary>An item of a response, by the same rules, as JSON.</summary>
    /// <param name="item">Valid JSON.</param>
    /// <param name="maxCharacters">More is left out.</param>
    /// <param name="isTruncated">Whether something was.</param>
    public static string OfItem(JsonElement item, int maxCharacters, out bool isTruncated)
    {
        using var json = new BoundedJson(maxCharacters);
        var isWhole = TryWrite(System.Runtime.InteropServices.JsonMarshal.GetRawUtf8Value(item), null, json, isItem: true);
        isTruncated = !isWhole || json.IsTruncated;
        return isWhole ? Encoding.UTF8.GetString(json.Written) : "";
    }

    private static bool TryWrite(ReadOnlySpan<byte> body, ContentRedaction? redaction, BoundedJson json, bool isItem)
    {
        try
        {
            var reader = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = MaxDepth });
            var containers = new Stack<(string Name, bool IsArray)>();
            var name = isItem ? ItemContainer : "";
            while (reader.Read())
            {
                var (container, isArray) = containers.Count > 0 ? containers.Peek() : ("", false);
                switch (reader.TokenType)
                {
                    case JsonTokenType.PropertyName:
                        name = ContentReader.TextOf(ref reader);
                        if (IsLeftOut(name, container, !isItem && containers.Count == 1, ref reader)) break;
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
                        if (json.StartObject()) containers.Push((isArray ? container : name, false));
                        else reader.Skip();
                        break;
                    case JsonTokenType.StartArray:
                        if (json.StartArray()) containers.Push((isArray ? container : name, true));
                        else reader.Skip();
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
        var isLeftOut = ContentFields.IsSetting(name, container, isTop) || IsSealed(name) || (isTop && Settings.Contains(name))
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

    // Vendors seal results of searches and of code under names like encrypted_index and encrypted_stdout.
    private static bool IsSealed(string name) => ContentFields.IsSealed(name) || name.StartsWith("encrypted_", StringComparison.Ordinal);

    private static void Write(string text, string name, ContentRedaction? redaction, BoundedJson json)
    {
        if (!EncodedFile.IsPlace(name) || FileDigest.Of(text, name) is not { } file)
        {
            json.Text(redaction?.Apply(text) ?? text);
            return;
        }
        if (!json.StartObject()) return;
        if (file.MediaType is { } type && json.Name("media_type")) json.Text(redaction?.Apply(type) ?? type);
        if (json.Name("bytes")) json.Raw(Encoding.ASCII.GetBytes(file.Bytes.ToString(CultureInfo.InvariantCulture)));
        if (json.Name("sha256")) json.Text(file.Hash);
        json.EndObject();
    }
}
