using System.Buffers;
using System.Text.Json;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>The content of <c>tools</c> and <c>tool_choice</c>, which may come in either order.</summary>
internal sealed class ToolsFound
{
    /// <summary>Names of the client's own tools, as in the body.</summary>
    public List<ByteRange> Names { get; } = [];

    public int Count { get; set; }

    /// <summary>Whether there are tools whose names are not in the body (toolsets, MCP servers).</summary>
    public bool HasUnnamed { get; set; }

    /// <summary>auto, any, none or tool; null when absent.</summary>
    public string? Choice { get; set; }

    public ByteRange ChoiceName { get; set; }
}

/// <summary>Reads <c>tools</c> and <c>tool_choice</c>.</summary>
internal static class ToolListReader
{
    private static readonly SearchValues<byte> NameCharacters =
        SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"u8);

    public static void ReadTools(ref BodyCursor json, MessagesPass pass, ToolsFound found)
    {
        if (!json.Array("tools")) return;
        var start = json.Start;
        while (json.NextItem()) ReadTool(ref json, pass, found, found.Count++);
        pass.Facts.TextBytes += json.End - start;
        if (found.Count > 0) pass.Note(RequestFeatures.Tools, "tools");
    }

    public static void ReadChoice(ref BodyCursor json, ToolsFound found)
    {
        if (!json.Object("tool_choice")) return;
        while (json.NextMember())
        {
            var field = json.Is("type"u8) ? 1 : json.Is("name"u8) ? 2 : json.Is("disable_parallel_tool_use"u8) ? 3 : 0;
            json.Next();
            switch (field)
            {
                case 1:
                    found.Choice = json.ExtensibleValue("tool_choice.type", ["auto", "any", "tool", "none"]);
                    break;
                case 2:
                    json.RequiredText("tool_choice.name");
                    found.ChoiceName = new ByteRange(json.Start + 1, json.Value.Length);
                    break;
                case 3:
                    json.Boolean("tool_choice.disable_parallel_tool_use");
                    break;
                default:
                    json.Skip();
                    break;
            }
        }
        if (found.Choice is null) throw RequestErrors.Missing("tool_choice.type");
        if (found.Choice == "tool" && found.ChoiceName.IsEmpty) throw RequestErrors.Missing("tool_choice.name");
    }

    /// <summary>Checks the choice against the tools, once both are read.</summary>
    public static void Validate(ReadOnlySpan<byte> body, ToolsFound found)
    {
        if (found.Choice is null or "none" || found.HasUnnamed) return;
        if (found.Count == 0) throw RequestErrors.Value("tool_choice", "it may only be sent together with tools.");
        if (found.Choice != "tool") return;
        var wanted = body.Slice(found.ChoiceName.Start, found.ChoiceName.Length);
        foreach (var name in found.Names)
        {
            if (wanted.SequenceEqual(body.Slice(name.Start, name.Length))) return;
        }
        throw RequestErrors.Value("tool_choice.name", "'tools' has no tool of that name.");
    }

    private static void ReadTool(ref BodyCursor json, MessagesPass pass, ToolsFound found, int index)
    {
        var path = new FieldPath("tools", index);
        if (!json.Object(path)) throw RequestErrors.Type(path, "an object", "null");
        var (isCustom, hasName, hasSchema) = (true, false, false);
        while (json.NextMember())
        {
            var field = json.Is("name"u8) ? 1 : json.Is("input_schema"u8) ? 2 : json.Is("type"u8) ? 3
                : json.Is("description"u8) ? 4 : json.Is("strict"u8) ? 5 : json.Is("cache_control"u8) ? 6 : 0;
            json.Next();
            switch (field)
            {
                case 1:
                    json.RequiredText(path with { Middle = "name" });
                    if (json.Value.Length > 128 || json.Value.ContainsAnyExcept(NameCharacters))
                    {
                        throw RequestErrors.Value(path with { Middle = "name" }, "a name has 1 to 128 letters, digits, '_' or '-'.");
                    }
                    hasName = true;
                    found.Names.Add(new ByteRange(json.Start + 1, json.Value.Length));
                    break;
                case 2:
                    hasSchema = ReadSchema(ref json, path);
                    break;
                case 3:
                    isCustom = !json.Text(path with { Middle = "type" }) || json.Is("custom"u8);
                    break;
                case 4:
                    json.Text(path with { Middle = "description" });
                    break;
                case 5:
                    json.Boolean(path with { Middle = "strict" });
                    break;
                case 6:
                    CacheControlReader.Read(ref json, pass, path with { Middle = "cache_control" });
                    break;
                default:
                    json.Skip();
                    break;
            }
        }
        if (!hasName)
        {
            if (isCustom) throw RequestErrors.Missing(path with { Middle = "name" });
            found.HasUnnamed = true;
        }
        if (isCustom && !hasSchema) throw RequestErrors.Missing(path with { Middle = "input_schema" });
    }

    private static bool ReadSchema(ref BodyCursor json, FieldPath tool)
    {
        var path = tool with { Middle = "input_schema" };
        if (!json.Object(path)) return false;
        var hasType = false;
        while (json.NextMember())
        {
            var isType = json.Is("type"u8);
            json.Next();
            if (isType)
            {
                if (json.Token != JsonTokenType.String || !json.Is("object"u8))
                {
                    throw RequestErrors.Value(tool with { Middle = "input_schema.type" },
                        "the schema of a tool's input must be of type 'object'.");
                }
                hasType = true;
            }
            else
            {
                json.Skip();
            }
        }
        return hasType ? true : throw RequestErrors.Missing(tool with { Middle = "input_schema.type" });
    }
}
