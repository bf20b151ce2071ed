using System.Text.Json;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Pipeline;
using Fairlead.Validation;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>
/// Checks tools, the choice among them and the form of the text. Providers with this API validate tools that they run themselves.
/// </summary>
internal ref struct ResponsesToolsReader(ReadOnlyMemory<byte> body)
{
    private static readonly string[] FormatTypes = ["text", "json_object", "json_schema"];

    private readonly ReadOnlyMemory<byte> _body = body;
    private readonly HashSet<string> _names = new(StringComparer.Ordinal);
    private readonly List<(string Name, FieldPath Path)> _wanted = [];
    private bool _hasTools;
    private bool _needsTools;

    public void Tools(ref BodyCursor json, RequestFacts facts)
    {
        if (!json.Array("tools")) return;
        var start = json.Start;
        var count = 0;
        while (json.NextItem()) Tool(ref json, facts, new FieldPath("tools", count++));
        if (count == 0) return;
        _hasTools = true;
        facts.TextBytes += json.End - start;
        facts.Note(RequestFeatures.Tools, "tools");
    }

    public void Choice(ref BodyCursor json)
    {
        if (json.IsNull) return;
        if (json.Token == JsonTokenType.String)
        {
            _needsTools = json.ExtensibleValue("tool_choice", ["none", "auto", "required"]) == "required";
            return;
        }
        if (json.Token != JsonTokenType.StartObject)
        {
            throw RequestErrors.Type("tool_choice", "'none', 'auto', 'required' or an object", json.Describe());
        }
        _needsTools = true;
        var (type, name) = Named(json, "tool_choice");
        switch (type)
        {
            case "function" or "custom":
                _wanted.Add((name ?? throw RequestErrors.Missing("tool_choice.name"), "tool_choice"));
                json.Skip();
                break;
            case "allowed_tools":
                Allowed(ref json);
                break;
            default:
                // One of the provider's own tools.
                json.Skip();
                break;
        }
    }

    public readonly void Text(ref BodyCursor json, RequestFacts facts)
    {
        if (!json.Object("text")) return;
        while (json.NextMember())
        {
            var field = json.Is("format"u8) ? 1 : json.Is("verbosity"u8) ? 2 : 0;
            json.Next();
            switch (field)
            {
                case 1:
                    if (json.Object("text.format")) Format(ref json, facts);
                    break;
                case 2: json.ExtensibleValue("text.verbosity", ["low", "medium", "high"]); break;
                default: json.Skip(); break;
            }
        }
    }

    /// <summary>Rules about several members, which may come in any order.</summary>
    public readonly void Finish()
    {
        if (_needsTools && !_hasTools)
        {
            throw RequestErrors.Invalid("tool_choice", "'tool_choice' is only allowed when 'tools' are specified.", "invalid_value");
        }
        foreach (var (name, path) in _wanted)
        {
            if (!_names.Contains(name)) throw RequestErrors.Value(path, $"the tool '{name}' is not in 'tools'.");
        }
    }

    private readonly void Tool(ref BodyCursor json, RequestFacts facts, FieldPath path)
    {
        if (!json.Object(path)) throw RequestErrors.Type(path, "an object", "null");
        switch (Named(json, path.ToString()).Type)
        {
            case "function": Function(ref json, path); break;
            case "custom":
                Custom(ref json, path);
                facts.Note(RequestFeatures.CustomTools, path.ToString());
                break;
            default: json.Skip(); break;
        }
    }

    private readonly void Function(ref BodyCursor json, FieldPath path)
    {
        var (name, strict) = (false, false);
        ByteRange parameters = default;
        while (json.NextMember())
        {
            var field = json.Is("name"u8) ? 1 : json.Is("description"u8) ? 2 : json.Is("parameters"u8) ? 3 : json.Is("strict"u8) ? 4 : 0;
            json.Next();
            switch (field)
            {
                case 1:
                    ChatToolsReader.CheckToolName(ref json, path with { Middle = "name" });
                    if (name) throw RequestErrors.Duplicate(path with { Middle = "name" });
                    _names.Add(json.GetString());
                    name = true;
                    break;
                case 2: json.Text(path with { Middle = "description" }); break;
                case 3:
                    if (json.Object(path with { Middle = "parameters" })) parameters = json.SkipRange();
                    break;
                case 4: strict = json.Boolean(path with { Middle = "strict" }) == true; break;
                default: json.Skip(); break;
            }
        }
        if (!name) throw RequestErrors.Missing(path with { Middle = "name" });
        // Only an explicit value is validated; see ResponsesConversationReader for the default.
        if (!strict || parameters.IsEmpty || StrictSchema.FindError(_body.Slice(parameters.Start, parameters.Length)) is not { } error)
        {
            return;
        }
        var at = path with { Middle = "parameters" };
        throw RequestErrors.Invalid(at, $"Invalid schema in '{at}' for strict mode: {error}.", "invalid_function_parameters");
    }

    private readonly void Custom(ref BodyCursor json, FieldPath path)
    {
        var name = false;
        while (json.NextMember())
        {
            var field = json.Is("name"u8) ? 1 : json.Is("description"u8) ? 2 : json.Is("format"u8) ? 3 : 0;
            json.Next();
            switch (field)
            {
                case 1:
                    ChatToolsReader.CheckToolName(ref json, path with { Middle = "name" });
                    _names.Add(json.GetString());
                    name = true;
                    break;
                case 2: json.Text(path with { Middle = "description" }); break;
                case 3:
                    if (json.Object(path with { Middle = "format" })) json.Skip();
                    break;
                default: json.Skip(); break;
            }
        }
        if (!name) throw RequestErrors.Missing(path with { Middle = "name" });
    }

    private readonly void Allowed(ref BodyCursor json)
    {
        var (mode, tools) = (false, false);
        while (json.NextMember())
        {
            var field = json.Is("mode"u8) ? 1 : json.Is("tools"u8) ? 2 : 0;
            json.Next();
            switch (field)
            {
                case 1: mode = json.ExtensibleValue("tool_choice.mode", ["auto", "required", "none"]) is not null; break;
                case 2:
                    if (!json.Array("tool_choice.tools")) break;
                    var count = 0;
                    while (json.NextItem())
                    {
                        var path = new FieldPath($"tool_choice.tools[{count++}]");
                        if (json.Token != JsonTokenType.StartObject) throw RequestErrors.Type(path, "an object", json.Describe());
                        var (type, name) = Named(json, path.ToString());
                        if (type is "function" or "custom") _wanted.Add((name ?? throw RequestErrors.Missing($"{path}.name"), path));
                        json.Skip();
                    }
                    if (count == 0) throw RequestErrors.EmptyArray("tool_choice.tools");
                    tools = true;
                    break;
                default: json.Skip(); break;
            }
        }
        if (!mode) throw RequestErrors.Missing("tool_choice.mode");
        if (!tools) throw RequestErrors.Missing("tool_choice.tools");
    }

    private readonly void Format(ref BodyCursor json, RequestFacts facts)
    {
        string? type = null;
        var (name, strict) = (false, false);
        ByteRange schema = default;
        while (json.NextMember())
        {
            var field = json.Is("type"u8) ? 1
                : json.Is("name"u8) ? 2
                : json.Is("schema"u8) ? 3
                : json.Is("strict"u8) ? 4
                : json.Is("description"u8) ? 5
                : 0;
            json.Next();
            switch (field)
            {
                case 1: type = json.ExtensibleValue("text.format.type", FormatTypes); break;
                case 2:
                    if (json.IsNull) break;
                    ChatToolsReader.CheckName(ref json, "text.format.name");
                    name = true;
                    break;
                case 3:
                    if (!schema.IsEmpty) throw RequestErrors.Duplicate("text.format.schema");
                    if (json.Object("text.format.schema")) schema = json.SkipRange();
                    break;
                case 4: strict = json.Boolean("text.format.strict") == true; break;
                case 5: json.Text("text.format.description"); break;
                default: json.Skip(); break;
            }
        }
        switch (type)
        {
            case null: throw RequestErrors.Missing("text.format.type");
            case "json_object": facts.Note(RequestFeatures.JsonObject, "text.format"); return;
            // Forms of other servers.
            case not "json_schema": return;
        }
        if (!name) throw RequestErrors.Missing("text.format.name");
        if (schema.IsEmpty) throw RequestErrors.Missing("text.format.schema");
        facts.TextBytes += schema.Length;
        facts.SchemaRange = schema;
        facts.Note(RequestFeatures.JsonSchema, "text.format");
        if (strict && StrictSchema.FindError(_body.Slice(schema.Start, schema.Length)) is { } error)
        {
            throw RequestErrors.Invalid("text.format.schema", $"Invalid schema in 'text.format' for strict mode: {error}.",
                "invalid_json_schema");
        }
    }

    // Looks ahead: members may come in any order.
    private static (string Type, string? Name) Named(BodyCursor json, string path)
    {
        string? type = null, name = null;
        while (json.NextMember())
        {
            var field = json.Is("type"u8) ? 1 : json.Is("name"u8) ? 2 : 0;
            json.Next();
            if (field == 1 && json.Text($"{path}.type", 64)) type = json.GetString();
            else if (field == 2 && json.Token == JsonTokenType.String) name = json.GetString();
            else json.Skip();
        }
        return (type ?? throw RequestErrors.Missing($"{path}.type"), name);
    }
}
