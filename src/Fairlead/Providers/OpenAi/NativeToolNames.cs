using System.Buffers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Dialects.Quirks;

namespace Fairlead.Providers.OpenAi;

/// <summary>
/// Shortens tool names that are too long for OpenAI's own servers in a forwarded body: each gets a short name with a hash, in the tools,
/// the tool choice and earlier calls. Responses get the client's names again. One per attempt.
/// </summary>
internal sealed class NativeToolNames
{
    private static readonly JsonDocumentOptions Parsing = new() { MaxDepth = 1024 };

    private readonly int _longest;
    private readonly Dictionary<string, string> _longByShort = new(StringComparer.Ordinal);

    private NativeToolNames(int longest) => _longest = longest;

    /// <summary>
    /// The names of a body, and the body with the short ones; null if every name is short enough, or the body cannot be rewritten.
    /// </summary>
    public static (NativeToolNames Names, byte[] Body)? Shorten(ReadOnlySpan<byte> body, int longest)
    {
        try
        {
            if (JsonNode.Parse(body, documentOptions: Parsing) is not JsonObject root) return null;
            var names = new NativeToolNames(longest);
            names.Request(root);
            return names._longByShort.Count == 0 ? null : (names, QuirkJson.Bytes(root));
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or ArgumentException)
        {
            // Duplicate members: the provider validates them.
            return null;
        }
    }

    /// <summary>A whole response or an event with the client's names; the same bytes if it has none of the short ones.</summary>
    public ReadOnlySpan<byte> Restore(ReadOnlySpan<byte> json)
    {
        foreach (var (made, name) in _longByShort)
        {
            var wanted = Encoding.UTF8.GetBytes($"\"{made}\"");
            if (json.IndexOf(wanted) < 0) continue;
            var output = new ArrayBufferWriter<byte>(json.Length + 128);
            for (var at = json.IndexOf(wanted); at >= 0; at = json.IndexOf(wanted))
            {
                output.Write(json[..at]);
                output.Write(IsName(json[..at]) ? Encoding.UTF8.GetBytes($"\"{name}\"") : wanted);
                json = json[(at + wanted.Length)..];
            }
            output.Write(json);
            json = output.WrittenSpan;
        }
        return json;
    }

    // Only the value of a member "name": the same letters in a text are the model's own.
    private static bool IsName(ReadOnlySpan<byte> before)
    {
        before = before.TrimEnd(" \t\r\n"u8);
        return before.EndsWith(":"u8) && before[..^1].TrimEnd(" \t\r\n"u8).EndsWith("\"name\""u8);
    }

    private void Request(JsonObject root)
    {
        Each(root["tools"], Tool);
        Each(root["functions"], Named);
        foreach (var choice in (ReadOnlySpan<JsonNode?>)[root["tool_choice"], root["function_call"]])
        {
            if (choice is not JsonObject chosen) continue;
            Tool(chosen);
            Each(chosen["tools"], Tool);
            if (chosen["allowed_tools"] is JsonObject allowed) Each(allowed["tools"], Tool);
        }
        Each(root["messages"], message =>
        {
            Each(message["tool_calls"], Tool);
            if (message["function_call"] is JsonObject legacy) Named(legacy);
            if (QuirkJson.Text(message["role"]) is "function" or "tool") Named(message);
        });
        Each(root["input"], item =>
        {
            if (QuirkJson.Text(item["type"]) is "function_call" or "custom_tool_call") Named(item);
        });
    }

    private void Tool(JsonObject tool)
    {
        // Tools that the provider runs have their own names.
        if (QuirkJson.Text(tool["type"]) is null or "function" or "custom") Named(tool);
        if (tool["function"] is JsonObject function) Named(function);
        if (tool["custom"] is JsonObject custom) Named(custom);
    }

    private void Named(JsonObject owner)
    {
        if (QuirkJson.Text(owner["name"]) is not { } name || name.Length <= _longest) return;
        var made = ToolAdapter.Shorten(name, _longest);
        _longByShort[made] = name;
        owner["name"] = made;
    }

    private static void Each(JsonNode? list, Action<JsonObject> take)
    {
        if (list is not JsonArray items) return;
        foreach (var item in items)
        {
            if (item is JsonObject known) take(known);
        }
    }
}
