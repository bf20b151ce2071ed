using System.Text.Json;
using Fairlead.Configuration;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>
/// Reads a Messages request in one pass: checks the shape and fills the facts. Newer members are forwarded unchanged.
/// </summary>
internal static class MessagesRequestReader
{
    private const int MaxModelLength = 256;
    private const int MinThinkingBudget = 1024;

    private static readonly string[] Efforts = ["low", "medium", "high", "xhigh", "max"];

    public static GatewayError? Read(GatewayCall call, RequestBounds bounds, bool countOnly)
    {
        if (AnthropicVersions.Check(call.AnthropicVersion) is { } error) return error;
        // It is forwarded as a header, and headers are ASCII.
        if (call.AnthropicBeta is { } beta && beta.AsSpan().ContainsAnyExceptInRange(' ', '~'))
        {
            return GatewayError.Invalid("anthropic-beta", "The header 'anthropic-beta' contains characters that are not ASCII.");
        }
        return countOnly ? BodyCursor.Run(call, bounds, ReadCount) : BodyCursor.Run(call, bounds, ReadMessages);
    }

    private static void ReadMessages(ref BodyCursor json, GatewayCall call, RequestBounds bounds)
    {
        var request = ReadRoot(ref json, call, bounds);
        if (call.Facts.MaxOutputTokens is null) throw RequestErrors.Missing("max_tokens");
        Validate(json.Body, call, request);
    }

    private static void ReadCount(ref BodyCursor json, GatewayCall call, RequestBounds bounds)
    {
        var request = ReadRoot(ref json, call, bounds);
        // Counting returns one body, whatever delivery the request chooses as a message.
        call.Facts.Stream = false;
        ToolListReader.Validate(json.Body, request.Tools);
    }

    /// <summary>Validation after the whole body is read.</summary>
    private sealed class Found
    {
        public ToolsFound Tools { get; } = new();

        public bool Thinks { get; set; }

        public int? Budget { get; set; }

        public ByteRange Thinking { get; set; }

        public bool EndsInUnsignedCalls { get; set; }
    }

    [Flags]
    private enum Fields
    {
        None = 0,
        Model = 1,
        Messages = 1 << 1,
        MaxTokens = 1 << 2,
        System = 1 << 3,
        Stream = 1 << 4,
        Temperature = 1 << 5,
        TopP = 1 << 6,
        TopK = 1 << 7,
        StopSequences = 1 << 8,
        Tools = 1 << 9,
        ToolChoice = 1 << 10,
        Thinking = 1 << 11,
        OutputConfig = 1 << 12,
        OutputFormat = 1 << 13,
        Metadata = 1 << 14,
        ServiceTier = 1 << 15,
        Speed = 1 << 16,
        CacheControl = 1 << 17,
        McpServers = 1 << 18,
        Fairlead = 1 << 19,
    }

    private static (Fields Field, string Name) FieldOf(ref BodyCursor json)
    {
        if (json.Is("model"u8)) return (Fields.Model, "model");
        if (json.Is("messages"u8)) return (Fields.Messages, "messages");
        if (json.Is("max_tokens"u8)) return (Fields.MaxTokens, "max_tokens");
        if (json.Is("system"u8)) return (Fields.System, "system");
        if (json.Is("stream"u8)) return (Fields.Stream, "stream");
        if (json.Is("temperature"u8)) return (Fields.Temperature, "temperature");
        if (json.Is("tools"u8)) return (Fields.Tools, "tools");
        if (json.Is("tool_choice"u8)) return (Fields.ToolChoice, "tool_choice");
        if (json.Is("thinking"u8)) return (Fields.Thinking, "thinking");
        if (json.Is("output_config"u8)) return (Fields.OutputConfig, "output_config");
        if (json.Is("metadata"u8)) return (Fields.Metadata, "metadata");
        if (json.Is("stop_sequences"u8)) return (Fields.StopSequences, "stop_sequences");
        if (json.Is("top_p"u8)) return (Fields.TopP, "top_p");
        if (json.Is("top_k"u8)) return (Fields.TopK, "top_k");
        if (json.Is("fairlead"u8)) return (Fields.Fairlead, "fairlead");
        if (json.Is("cache_control"u8)) return (Fields.CacheControl, "cache_control");
        if (json.Is("service_tier"u8)) return (Fields.ServiceTier, "service_tier");
        if (json.Is("speed"u8)) return (Fields.Speed, "speed");
        if (json.Is("output_format"u8)) return (Fields.OutputFormat, "output_format");
        return json.Is("mcp_servers"u8) ? (Fields.McpServers, "mcp_servers") : (Fields.None, "");
    }

    private static Found ReadRoot(ref BodyCursor json, GatewayCall call, RequestBounds bounds)
    {
        var facts = call.Facts;
        facts.MaxOutputTokensField = "max_tokens";
        var pass = new MessagesPass(facts, bounds, AnthropicVersions.Of(call.AnthropicVersion) == AnthropicVersions.October2026);
        var found = new Found();
        var seen = Fields.None;
        var isFirst = true;
        json.EnterRoot();
        while (json.NextMember())
        {
            var nameStart = json.Start;
            var (field, name) = FieldOf(ref json);
            if (field != Fields.None)
            {
                if ((seen & field) != 0) throw RequestErrors.Duplicate(name);
                seen |= field;
            }
            json.Next();
            if (field == Fields.None)
            {
                json.Skip();
            }
            else if (field == Fields.Fairlead)
            {
                facts.Extension = ExtensionReader.Read(ref json);
                facts.ExtensionMemberRange = BodySplicer.MemberWithComma(json.Body, nameStart, json.End, isFirst);
            }
            else
            {
                ReadField(ref json, call, pass, found, field);
            }
            isFirst = false;
        }
        json.Leave();
        found.EndsInUnsignedCalls = pass.EndsInUnsignedCalls;
        if (facts.ModelRange.IsEmpty) throw RequestErrors.Missing("model");
        if ((seen & Fields.Messages) == 0) throw RequestErrors.Missing("messages");
        return found;
    }

    private static void ReadField(ref BodyCursor json, GatewayCall call, MessagesPass pass, Found found, Fields field)
    {
        var facts = call.Facts;
        switch (field)
        {
            case Fields.Model:
                if (json.IsNull) throw RequestErrors.Missing("model");
                json.RequiredText("model");
                json.Text("model", MaxModelLength);
                facts.Model = json.GetString();
                facts.ModelRange = json.Range;
                break;
            case Fields.Messages: TurnReader.Read(ref json, pass); break;
            case Fields.MaxTokens: facts.MaxOutputTokens = (int?)json.Integer("max_tokens", 0, int.MaxValue); break;
            case Fields.System: ReadSystem(ref json, pass); break;
            case Fields.Stream: facts.Stream = json.Boolean("stream") == true; break;
            case Fields.Temperature:
                facts.Temperature = json.Number("temperature", 0, 1);
                if (facts.Temperature is not null) Sampling(pass, RequestFeatures.Temperature, "temperature");
                break;
            case Fields.TopP:
                facts.TopP = json.Number("top_p", 0, 1);
                if (facts.TopP is not null) Sampling(pass, RequestFeatures.TopP, "top_p");
                break;
            case Fields.TopK:
                if (json.Integer("top_k", 0, int.MaxValue) is not null) Sampling(pass, RequestFeatures.None, "top_k");
                break;
            case Fields.StopSequences: ReadStops(ref json); break;
            case Fields.Tools: ToolListReader.ReadTools(ref json, pass, found.Tools); break;
            case Fields.ToolChoice: ToolListReader.ReadChoice(ref json, found.Tools); break;
            case Fields.McpServers:
                if (json.Token == JsonTokenType.StartArray) found.Tools.HasUnnamed = true;
                json.Skip();
                break;
            case Fields.Thinking: ReadThinking(ref json, pass, found); break;
            case Fields.OutputConfig: ReadOutputConfig(ref json, pass); break;
            case Fields.OutputFormat: ReadFormat(ref json, pass, "output_format"); break;
            case Fields.Metadata: ReadMetadata(ref json, facts); break;
            case Fields.ServiceTier:
                var tier = json.ExtensibleValue("service_tier", ["auto", "standard_only"], isRead: false);
                facts.ServiceTier = tier == "standard_only" ? "standard" : tier;
                break;
            case Fields.Speed: json.ExtensibleValue("speed", ["standard", "fast"], isRead: false); break;
            case Fields.CacheControl: CacheControlReader.Read(ref json, pass, "cache_control"); break;
        }
    }

    private static void Sampling(MessagesPass pass, RequestFeatures feature, string field)
    {
        if (pass.IsOctober2026)
        {
            throw new GatewayErrorException(GatewayError.Unsupported(field,
                $"Version {AnthropicVersions.October2026} does not take '{field}', not even with its default value.") with
            {
                Remedy = $"Leave '{field}' out, or send the header {AnthropicVersions.Header}: {AnthropicVersions.Original}.",
            });
        }
        pass.Note(feature, field);
    }

    private static void ReadSystem(ref BodyCursor json, MessagesPass pass)
    {
        switch (json.Token)
        {
            case JsonTokenType.Null: break;
            case JsonTokenType.String: pass.Facts.TextBytes += json.Value.Length; break;
            case JsonTokenType.StartArray:
                for (var i = 0; json.NextItem(); i++) BlockReader.Read(ref json, pass, new BlockPosition(-1, i));
                break;
            default: throw RequestErrors.Type("system", "a string or an array of text blocks", json.Describe());
        }
    }

    private static void ReadStops(ref BodyCursor json)
    {
        if (!json.Array("stop_sequences")) return;
        for (var i = 0; json.NextItem(); i++)
        {
            var path = new FieldPath("stop_sequences", i);
            json.RequiredText(path);
            if (string.IsNullOrWhiteSpace(json.GetString()))
            {
                throw RequestErrors.Value(path, "a stop sequence must not be white space only.");
            }
        }
    }

    private static void ReadThinking(ref BodyCursor json, MessagesPass pass, Found found)
    {
        if (!json.Object("thinking")) return;
        var start = json.Start;
        string? type = null;
        while (json.NextMember())
        {
            var field = json.Is("type"u8) ? 1 : json.Is("budget_tokens"u8) ? 2 : json.Is("display"u8) ? 3 : 0;
            json.Next();
            switch (field)
            {
                case 1: type = json.ExtensibleValue("thinking.type", ["enabled", "adaptive", "disabled", "between_tools"]); break;
                case 2: found.Budget = (int?)json.Integer("thinking.budget_tokens", MinThinkingBudget, int.MaxValue); break;
                case 3: json.ExtensibleValue("thinking.display", ["summarized", "omitted"]); break;
                default: json.Skip(); break;
            }
        }
        if (type is null) throw RequestErrors.Missing("thinking.type");
        found.Thinking = new ByteRange(start, json.End - start);
        found.Thinks = type == "enabled";
        if (found.Thinks && found.Budget is null) throw RequestErrors.Missing("thinking.budget_tokens");
        if (type != "disabled") pass.Note(RequestFeatures.ReasoningEffort, "thinking");
        else pass.Facts.ReasoningEffort ??= "none";
    }

    private static void ReadOutputConfig(ref BodyCursor json, MessagesPass pass)
    {
        if (!json.Object("output_config")) return;
        while (json.NextMember())
        {
            var field = json.Is("effort"u8) ? 1 : json.Is("format"u8) ? 2 : 0;
            json.Next();
            switch (field)
            {
                case 1:
                    if (json.ExtensibleValue("output_config.effort", Efforts) is not { } effort) break;
                    pass.Facts.ReasoningEffort = effort;
                    pass.Note(RequestFeatures.ReasoningEffort, "output_config.effort");
                    break;
                case 2:
                    ReadFormat(ref json, pass, "output_config.format");
                    break;
                default:
                    json.Skip();
                    break;
            }
        }
    }

    private static void ReadFormat(ref BodyCursor json, MessagesPass pass, string path)
    {
        if (!json.Object(path)) return;
        string? type = null;
        var hasSchema = false;
        while (json.NextMember())
        {
            var field = json.Is("type"u8) ? 1 : json.Is("schema"u8) ? 2 : 0;
            json.Next();
            switch (field)
            {
                case 1:
                    type = json.ExtensibleValue($"{path}.type", ["json_schema"]);
                    break;
                case 2:
                    hasSchema = json.Object($"{path}.schema");
                    pass.Facts.TextBytes += json.SkipRange().Length;
                    break;
                default:
                    json.Skip();
                    break;
            }
        }
        if (type is null) throw RequestErrors.Missing($"{path}.type");
        if (type != "json_schema") return;
        if (!hasSchema) throw RequestErrors.Missing($"{path}.schema");
        pass.Note(RequestFeatures.JsonSchema, path);
    }

    private static void ReadMetadata(ref BodyCursor json, RequestFacts facts)
    {
        if (!json.Object("metadata")) return;
        while (json.NextMember())
        {
            var isUser = json.Is("user_id"u8);
            json.Next();
            if (!isUser) json.Skip();
            else if (json.Text("metadata.user_id", 256)) facts.Label().User = json.GetString();
        }
    }

    // Rules about more than one member, since members may come in any order.
    private static void Validate(ReadOnlySpan<byte> body, GatewayCall call, Found found)
    {
        var facts = call.Facts;
        ToolListReader.Validate(body, found.Tools);
        if (!found.Thinks) return;
        // Thinking between tool calls, a beta, has its own budget for the whole turn.
        var interleaved = call.AnthropicBeta?.Contains("interleaved-thinking", StringComparison.Ordinal) == true;
        if (found.Budget is { } budget && budget >= facts.MaxOutputTokens && !interleaved)
        {
            throw RequestErrors.Value("thinking.budget_tokens", $"it must be smaller than max_tokens ({facts.MaxOutputTokens}).");
        }
        if (facts.Temperature is { } temperature && temperature != 1)
        {
            throw RequestErrors.Value("temperature", "it must be 1 while thinking is enabled.");
        }
        // With a thinking budget, thinking must precede the calls whose results are here; a turn of another model has none.
        if (found.EndsInUnsignedCalls) facts.UnsignedThinking = found.Thinking;
        if (found.Tools.Choice is "any" or "tool")
        {
            throw RequestErrors.Value("tool_choice.type", "tools cannot be forced while thinking is enabled.");
        }
    }
}
