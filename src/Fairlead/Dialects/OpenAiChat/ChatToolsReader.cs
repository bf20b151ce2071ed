using System.Buffers;
using System.Text.Json;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Validation;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>Checks that tools, tool choice and response format are valid and consistent.</summary>
internal ref struct ChatToolsReader(ReadOnlyMemory<byte> body)
{
    private const int MaxNameLength = 64;

    /// <summary>
    /// The longest tool name that any server accepts. Names longer than OpenAI's limit are shortened when the request is translated.
    /// </summary>
    private const int MaxToolNameLength = 128;

    private static readonly SearchValues<byte> NameLetters =
        SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"u8);
    private static readonly string[] ToolTypes = ["function", "custom"];
    private static readonly string[] Modes = ["none", "auto", "required"];
    private static readonly string[] AllowedModes = ["auto", "required"];
    private static readonly string[] ChoiceTypes = ["function", "custom", "allowed_tools"];
    private static readonly string[] FormatTypes = ["text", "json_object", "json_schema"];
    private static readonly string[] GrammarTypes = ["text", "grammar"];
    private static readonly string[] Syntaxes = ["lark", "regex"];

    private readonly ReadOnlyMemory<byte> _body = body;
    private ByteRange _tools;
    private ByteRange _functions;
    private string? _mode;
    private string? _legacyMode;
    private string? _named;
    private string? _legacyNamed;

    public void Tools(ref BodyCursor json, RequestFacts facts)
    {
        if (!json.Array("tools")) return;
        var start = json.Start;
        var count = 0;
        while (json.NextItem())
        {
            Tool(ref json, facts, count);
            count++;
        }
        if (count == 0) throw RequestErrors.EmptyArray("tools");
        _tools = new ByteRange(start, json.End - start);
        facts.TextBytes += _tools.Length;
        facts.Note(RequestFeatures.Tools, "tools");
    }

    public void Functions(ref BodyCursor json, RequestFacts facts)
    {
        if (!json.Array("functions")) return;
        var start = json.Start;
        var count = 0;
        while (json.NextItem())
        {
            var path = new FieldPath("functions", count);
            if (!json.Object(path)) throw RequestErrors.Type(path, "an object", "null");
            Function(ref json, "functions", count, "");
            count++;
        }
        if (count == 0) throw RequestErrors.EmptyArray("functions");
        _functions = new ByteRange(start, json.End - start);
        facts.TextBytes += _functions.Length;
        facts.Note(RequestFeatures.Tools, "functions");
    }

    public void Choice(ref BodyCursor json)
    {
        if (json.IsNull) return;
        if (json.Token == JsonTokenType.String)
        {
            _mode = json.ExtensibleValue("tool_choice", Modes);
            return;
        }
        if (json.Token != JsonTokenType.StartObject)
        {
            throw RequestErrors.Type("tool_choice", "'none', 'auto', 'required' or an object", json.Describe());
        }
        string? type = null, function = null, custom = null;
        var allowed = false;
        while (json.NextMember())
        {
            if (json.Is("type"u8))
            {
                json.Next();
                type = json.ExtensibleValue("tool_choice.type", ChoiceTypes);
            }
            else if (json.Is("function"u8))
            {
                json.Next();
                function = ChosenName(ref json, "tool_choice.function");
            }
            else if (json.Is("custom"u8))
            {
                json.Next();
                custom = ChosenName(ref json, "tool_choice.custom");
            }
            else if (json.Is("allowed_tools"u8))
            {
                json.Next();
                Allowed(ref json);
                allowed = true;
            }
            else
            {
                json.Next();
                json.Skip();
            }
        }
        switch (type)
        {
            case null: throw RequestErrors.Missing("tool_choice.type");
            case "function": _named = function ?? throw RequestErrors.Missing("tool_choice.function"); break;
            case "custom": _named = custom ?? throw RequestErrors.Missing("tool_choice.custom"); break;
            case not "allowed_tools": break;
            default:
                if (!allowed) throw RequestErrors.Missing("tool_choice.allowed_tools");
                _mode = "allowed_tools";
                break;
        }
    }

    public void FunctionCall(ref BodyCursor json)
    {
        if (json.IsNull) return;
        if (json.Token == JsonTokenType.String) _legacyMode = json.ExtensibleValue("function_call", ["none", "auto"]);
        else if (json.Token == JsonTokenType.StartObject) _legacyNamed = ChosenName(ref json, "function_call");
        else throw RequestErrors.Type("function_call", "'none', 'auto' or an object with 'name'", json.Describe());
    }

    public readonly void ResponseFormat(ref BodyCursor json, RequestFacts facts)
    {
        if (!json.Object("response_format")) return;
        string? type = null;
        var schema = false;
        while (json.NextMember())
        {
            if (json.Is("type"u8))
            {
                json.Next();
                type = json.ExtensibleValue("response_format.type", FormatTypes);
            }
            else if (json.Is("json_schema"u8))
            {
                json.Next();
                schema = JsonSchema(ref json, facts);
            }
            else
            {
                json.Next();
                json.Skip();
            }
        }
        switch (type)
        {
            case null: throw RequestErrors.Missing("response_format.type");
            case "json_object": facts.Note(RequestFeatures.JsonObject, "response_format"); break;
            case "json_schema":
                if (!schema) throw RequestErrors.Missing("response_format.json_schema");
                facts.Note(RequestFeatures.JsonSchema, "response_format");
                break;
        }
    }

    /// <summary>Rules about several fields, which may come in any order.</summary>
    public readonly void Finish()
    {
        if (!_tools.IsEmpty && !_functions.IsEmpty)
        {
            throw RequestErrors.Invalid("functions", "'tools' and 'functions' cannot both be set; send 'tools' only.", "invalid_value");
        }
        if (_tools.IsEmpty && (_named is not null || _mode is "required" or "allowed_tools"))
        {
            throw RequestErrors.Invalid("tool_choice", "'tool_choice' is only allowed when 'tools' are specified.", "invalid_value");
        }
        if (_functions.IsEmpty && (_legacyNamed is not null || _legacyMode is not null))
        {
            throw RequestErrors.Invalid("function_call", "'function_call' is only allowed when 'functions' are specified.",
                "invalid_value");
        }
        if (_named is not null && !Offers(_tools, _named))
        {
            throw RequestErrors.Value("tool_choice", $"the tool '{_named}' is not in 'tools'.");
        }
        if (_legacyNamed is not null && !Offers(_functions, _legacyNamed))
        {
            throw RequestErrors.Value("function_call", $"the function '{_legacyNamed}' is not in 'functions'.");
        }
    }

    /// <summary>A format's name: 1 to 64 letters, digits, <c>_</c> or <c>-</c>.</summary>
    public static void CheckName(ref BodyCursor json, FieldPath path) => CheckName(ref json, path, isTool: false);

    /// <summary>A tool's name: the same, but servers other than OpenAI's own accept up to 128.</summary>
    public static void CheckToolName(ref BodyCursor json, FieldPath path) => CheckName(ref json, path, isTool: true);

    private static void CheckName(ref BodyCursor json, FieldPath path, bool isTool)
    {
        json.RequiredText(path);
        ReadOnlySpan<byte> name = json.IsEscaped ? System.Text.Encoding.UTF8.GetBytes(json.GetString()) : json.Value;
        if (name.Length > (isTool ? MaxToolNameLength : MaxNameLength))
        {
            throw RequestErrors.TooLong(path, isTool ? MaxToolNameLength : MaxNameLength);
        }
        if (name.Length > MaxNameLength) json.NoteLongName(RequestErrors.TooLong(path, MaxNameLength).Error);
        if (name.ContainsAnyExcept(NameLetters))
        {
            throw RequestErrors.Value(path, "expected 1 to 64 letters (a-z, A-Z), digits, underscores or dashes.");
        }
    }

    private readonly void Tool(ref BodyCursor json, RequestFacts facts, int index)
    {
        var path = new FieldPath("tools", index);
        if (!json.Object(path)) throw RequestErrors.Type(path, "an object", "null");
        string? type = null;
        var (function, custom) = (false, false);
        while (json.NextMember())
        {
            if (json.Is("type"u8))
            {
                json.Next();
                type = json.ExtensibleValue(path with { Middle = "type" }, ToolTypes);
            }
            else if (json.Is("function"u8))
            {
                json.Next();
                if (!json.Object(path with { Middle = "function" })) continue;
                if (function) throw RequestErrors.Duplicate(path with { Middle = "function" });
                Function(ref json, "tools", index, "function.");
                function = true;
            }
            else if (json.Is("custom"u8))
            {
                json.Next();
                if (!json.Object(path with { Middle = "custom" })) continue;
                Custom(ref json, index);
                custom = true;
            }
            else
            {
                json.Next();
                json.Skip();
            }
        }
        if (type is null) throw RequestErrors.Missing(path with { Middle = "type" });
        if (type == "function" && !function) throw RequestErrors.Missing(path with { Middle = "function" });
        if (type != "custom") return;
        if (!custom) throw RequestErrors.Missing(path with { Middle = "custom" });
        facts.Note(RequestFeatures.CustomTools, path.ToString());
    }

    private readonly void Function(ref BodyCursor json, string list, int index, string prefix)
    {
        var (name, strict) = (false, false);
        ByteRange parameters = default;
        while (json.NextMember())
        {
            if (json.Is("name"u8))
            {
                json.Next();
                CheckToolName(ref json, new FieldPath(list, index, prefix + "name"));
                if (name) throw RequestErrors.Duplicate(new FieldPath(list, index, prefix + "name"));
                name = true;
            }
            else if (json.Is("description"u8))
            {
                json.Next();
                json.Text(new FieldPath(list, index, prefix + "description"));
            }
            else if (json.Is("parameters"u8))
            {
                json.Next();
                if (!json.Object(new FieldPath(list, index, prefix + "parameters"))) continue;
                parameters = json.SkipRange();
            }
            else if (json.Is("strict"u8))
            {
                json.Next();
                strict = json.Boolean(new FieldPath(list, index, prefix + "strict")) ?? false;
            }
            else
            {
                json.Next();
                json.Skip();
            }
        }
        if (!name) throw RequestErrors.Missing(new FieldPath(list, index, prefix + "name"));
        if (!strict || parameters.IsEmpty) return;
        if (StrictSchema.FindError(_body.Slice(parameters.Start, parameters.Length)) is { } error)
        {
            var path = new FieldPath(list, index, prefix + "parameters");
            throw RequestErrors.Invalid(path, $"Invalid schema in '{path}' for strict mode: {error}.", "invalid_function_parameters");
        }
    }

    private static void Custom(ref BodyCursor json, int index)
    {
        var name = false;
        while (json.NextMember())
        {
            if (json.Is("name"u8))
            {
                json.Next();
                CheckToolName(ref json, new FieldPath("tools", index, "custom.name"));
                name = true;
            }
            else if (json.Is("description"u8))
            {
                json.Next();
                json.Text(new FieldPath("tools", index, "custom.description"));
            }
            else if (json.Is("format"u8))
            {
                json.Next();
                if (json.Object(new FieldPath("tools", index, "custom.format"))) Format(ref json, index);
            }
            else
            {
                json.Next();
                json.Skip();
            }
        }
        if (!name) throw RequestErrors.Missing(new FieldPath("tools", index, "custom.name"));
    }

    private static void Format(ref BodyCursor json, int index)
    {
        string? type = null;
        var grammar = false;
        while (json.NextMember())
        {
            if (json.Is("type"u8))
            {
                json.Next();
                type = json.ExtensibleValue(new FieldPath("tools", index, "custom.format.type"), GrammarTypes);
            }
            else if (json.Is("grammar"u8))
            {
                json.Next();
                if (!json.Object(new FieldPath("tools", index, "custom.format.grammar"))) continue;
                var (definition, syntax) = (false, false);
                while (json.NextMember())
                {
                    var isDefinition = json.Is("definition"u8);
                    var isSyntax = json.Is("syntax"u8);
                    json.Next();
                    if (isDefinition) definition = json.Text(new FieldPath("tools", index, "custom.format.grammar.definition"));
                    else if (isSyntax)
                    {
                        syntax = json.ExtensibleValue(new FieldPath("tools", index, "custom.format.grammar.syntax"), Syntaxes) is not null;
                    }
                    else json.Skip();
                }
                if (!definition) throw RequestErrors.Missing(new FieldPath("tools", index, "custom.format.grammar.definition"));
                if (!syntax) throw RequestErrors.Missing(new FieldPath("tools", index, "custom.format.grammar.syntax"));
                grammar = true;
            }
            else
            {
                json.Next();
                json.Skip();
            }
        }
        if (type is null) throw RequestErrors.Missing(new FieldPath("tools", index, "custom.format.type"));
        if (type == "grammar" && !grammar) throw RequestErrors.Missing(new FieldPath("tools", index, "custom.format.grammar"));
    }

    private readonly bool JsonSchema(ref BodyCursor json, RequestFacts facts)
    {
        if (!json.Object("response_format.json_schema")) return false;
        var (name, strict) = (false, false);
        ByteRange schema = default;
        while (json.NextMember())
        {
            if (json.Is("name"u8))
            {
                json.Next();
                CheckName(ref json, "response_format.json_schema.name");
                name = true;
            }
            else if (json.Is("description"u8))
            {
                json.Next();
                json.Text("response_format.json_schema.description");
            }
            else if (json.Is("schema"u8))
            {
                json.Next();
                if (!schema.IsEmpty) throw RequestErrors.Duplicate("response_format.json_schema.schema");
                if (json.Object("response_format.json_schema.schema")) schema = json.SkipRange();
            }
            else if (json.Is("strict"u8))
            {
                json.Next();
                strict = json.Boolean("response_format.json_schema.strict") ?? false;
            }
            else
            {
                json.Next();
                json.Skip();
            }
        }
        if (!name) throw RequestErrors.Missing("response_format.json_schema.name");
        facts.TextBytes += schema.Length;
        facts.SchemaRange = schema;
        if (!strict) return true;
        if (schema.IsEmpty) throw RequestErrors.Missing("response_format.json_schema.schema");
        if (StrictSchema.FindError(_body.Slice(schema.Start, schema.Length)) is { } error)
        {
            throw RequestErrors.Invalid("response_format", $"Invalid schema in 'response_format' for strict mode: {error}.",
                "invalid_json_schema");
        }
        return true;
    }

    private static string ChosenName(ref BodyCursor json, string path)
    {
        if (!json.Object(path)) throw RequestErrors.Type(path, "an object", "null");
        string? name = null;
        while (json.NextMember())
        {
            var isName = json.Is("name"u8);
            json.Next();
            if (isName)
            {
                CheckToolName(ref json, path + ".name");
                name = json.GetString();
            }
            else
            {
                json.Skip();
            }
        }
        return name ?? throw RequestErrors.Missing(path + ".name");
    }

    private static void Allowed(ref BodyCursor json)
    {
        if (!json.Object("tool_choice.allowed_tools")) throw RequestErrors.Type("tool_choice.allowed_tools", "an object", "null");
        var (mode, tools) = (false, false);
        while (json.NextMember())
        {
            if (json.Is("mode"u8))
            {
                json.Next();
                mode = json.ExtensibleValue("tool_choice.allowed_tools.mode", AllowedModes) is not null;
            }
            else if (json.Is("tools"u8))
            {
                json.Next();
                if (!json.Array("tool_choice.allowed_tools.tools")) continue;
                var count = 0;
                while (json.NextItem())
                {
                    if (json.Token != JsonTokenType.StartObject)
                    {
                        throw RequestErrors.Type($"tool_choice.allowed_tools.tools[{count}]", "an object", json.Describe());
                    }
                    json.Skip();
                    count++;
                }
                if (count == 0) throw RequestErrors.EmptyArray("tool_choice.allowed_tools.tools");
                tools = true;
            }
            else
            {
                json.Next();
                json.Skip();
            }
        }
        if (!mode) throw RequestErrors.Missing("tool_choice.allowed_tools.mode");
        if (!tools) throw RequestErrors.Missing("tool_choice.allowed_tools.tools");
    }

    // Only a request that names a tool needs this second pass.
    private readonly bool Offers(ByteRange list, string wanted)
    {
        var reader = new Utf8JsonReader(_body.Span.Slice(list.Start, list.Length), new JsonReaderOptions { MaxDepth = 1024 });
        while (reader.Read())
        {
            // tools[i].function.name is at depth 3, functions[i].name at depth 2; deeper ones belong to schemas.
            if (reader.TokenType != JsonTokenType.PropertyName || reader.CurrentDepth > 3 || !reader.ValueTextEquals("name"u8)) continue;
            reader.Read();
            if (reader.TokenType == JsonTokenType.String && reader.ValueTextEquals(wanted)) return true;
        }
        return false;
    }
}
