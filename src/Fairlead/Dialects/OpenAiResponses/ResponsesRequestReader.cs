using System.Text.Json;
using Fairlead.Configuration;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>Checks a Responses request and fills its facts, in one pass over the bytes. Newer members are forwarded unread.</summary>
internal static class ResponsesRequestReader
{
    private const int MaxNameLength = 32;
    private const int MaxModelLength = 256;
    internal const int MinOutput = 16;

    // Their order is that of the bits that record which members were seen.
    private static readonly string[] Names =
    [
        "model", "input", "instructions", "previous_response_id", "conversation", "store", "background", "stream", "stream_options",
        "max_output_tokens", "max_tool_calls", "temperature", "top_p", "top_logprobs", "parallel_tool_calls", "tools", "tool_choice",
        "text", "reasoning", "include", "truncation", "metadata", "service_tier", "prompt", "prompt_cache_key", "safety_identifier", "user",
        "presence_penalty", "frequency_penalty", "fairlead", "prompt_cache_retention",
    ];

    private static readonly string[] Efforts = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];
    private static readonly string[] Summaries = ["auto", "concise", "detailed"];
    private static readonly string[] Tiers = ["auto", "default", "flex", "scale", "priority", "fast"];
    private static readonly string[] Truncations = ["auto", "disabled"];
    private static readonly string[] Includes =
    [
        "reasoning.encrypted_content", "message.output_text.logprobs", "message.input_image.image_url", "file_search_call.results",
        "web_search_call.results", "web_search_call.action.sources", "code_interpreter_call.outputs",
        "computer_call_output.output.image_url",
    ];

    public static GatewayError? Read(GatewayCall call, RequestBounds bounds) => BodyCursor.Run(call, bounds, ReadAnswered);

    /// <summary>A request that is only counted: the same body, and its delivery fields have no effect.</summary>
    public static GatewayError? ReadCounted(GatewayCall call, RequestBounds bounds) => BodyCursor.Run(call, bounds, ReadCount);

    private static void ReadAnswered(ref BodyCursor json, GatewayCall call, RequestBounds bounds)
    {
        var seen = ReadRoot(ref json, call, bounds);
        if ((seen & Bit("input")) == 0 && call.Facts.Responses!.PreviousResponseId is null) throw RequestErrors.Missing("input");
    }

    private static void ReadCount(ref BodyCursor json, GatewayCall call, RequestBounds bounds)
    {
        ReadRoot(ref json, call, bounds);
        call.Facts.Stream = false;
    }

    private static ulong Bit(string name) => 1UL << Array.IndexOf(Names, name);

    private static ulong ReadRoot(ref BodyCursor json, GatewayCall call, RequestBounds bounds)
    {
        var facts = call.Facts;
        var found = facts.Responses = new ResponsesFacts();
        facts.MaxOutputTokensField = "max_output_tokens";
        facts.MessageCount = 1;
        var tools = new ResponsesToolsReader(call.Body.WrittenMemory);
        var seen = 0UL;
        var first = true;
        Span<byte> scratch = stackalloc byte[MaxNameLength];
        json.EnterRoot();
        while (json.NextMember())
        {
            var nameStart = json.Start;
            var field = Find(json.Name(scratch));
            if (field >= 0)
            {
                if ((seen & (1UL << field)) != 0) throw RequestErrors.Duplicate(Names[field]);
                seen |= 1UL << field;
            }
            json.Next();
            if (field < 0)
            {
                json.Skip();
                first = false;
                continue;
            }
            switch (Names[field])
            {
                case "model":
                    if (!json.Text("model", MaxModelLength)) throw RequestErrors.Missing("model");
                    if (json.Value.IsEmpty) throw RequestErrors.EmptyString("model");
                    facts.Model = json.GetString();
                    facts.ModelRange = json.Range;
                    break;
                case "input":
                    var at = json.Start;
                    ResponsesItemsReader.Read(ref json, facts, bounds);
                    found.Input = new ByteRange(at, json.End - at);
                    break;
                case "instructions":
                    if (json.Text("instructions")) facts.TextBytes += json.Value.Length;
                    break;
                case "previous_response_id":
                    if (!json.Text("previous_response_id", 256)) break;
                    if (json.Value.IsEmpty) throw RequestErrors.EmptyString("previous_response_id");
                    found.PreviousResponseId = json.GetString();
                    found.Previous = json.Range;
                    break;
                case "conversation":
                    if (!json.IsNull)
                    {
                        throw Unsupported("conversation",
                            "Stored conversations are not supported. Send 'previous_response_id', or the items themselves as 'input'.");
                    }
                    break;
                case "prompt":
                    if (!json.IsNull)
                    {
                        throw Unsupported("prompt", "Stored prompts are not supported. Send the text as 'instructions' or 'input'.");
                    }
                    break;
                case "background":
                    found.Background = json.Boolean("background") ?? false;
                    found.BackgroundRange = json.Range;
                    break;
                case "store":
                    found.Stores = json.Boolean("store") ?? true;
                    found.Store = json.Range;
                    break;
                case "stream":
                    facts.Stream = json.Boolean("stream") ?? false;
                    found.StreamRange = json.Range;
                    break;
                case "stream_options":
                    StreamOptions(ref json, facts);
                    break;
                case "max_output_tokens":
                    facts.MaxOutputTokens = (int?)json.Integer("max_output_tokens", MinOutput, int.MaxValue);
                    break;
                case "max_tool_calls":
                    json.Integer("max_tool_calls", 1, int.MaxValue);
                    break;
                case "temperature":
                    if ((facts.Temperature = json.Number("temperature", 0, 2)) is not null)
                    {
                        facts.Note(RequestFeatures.Temperature, "temperature");
                    }
                    break;
                case "top_p":
                    if ((facts.TopP = json.Number("top_p", 0, 1)) is not null) facts.Note(RequestFeatures.TopP, "top_p");
                    break;
                case "presence_penalty" or "frequency_penalty":
                    // Zero is the default behaviour, and clients of Open Responses send it back from a response.
                    if (json.Number(Names[field], -2, 2) is not (null or 0)) facts.Note(RequestFeatures.Penalties, Names[field]);
                    break;
                case "top_logprobs":
                    found.TopLogprobs = (int?)json.Integer("top_logprobs", 0, 20);
                    if (found.TopLogprobs > 0) facts.Note(RequestFeatures.Logprobs, "top_logprobs");
                    break;
                case "parallel_tool_calls":
                    json.Boolean("parallel_tool_calls");
                    break;
                case "tools":
                    tools.Tools(ref json, facts);
                    break;
                case "tool_choice":
                    tools.Choice(ref json);
                    break;
                case "text":
                    tools.Text(ref json, facts);
                    break;
                case "reasoning":
                    Reasoning(ref json, facts);
                    break;
                case "include":
                    Include(ref json, facts, found);
                    break;
                case "truncation":
                    json.ExtensibleValue("truncation", Truncations, isRead: false);
                    break;
                case "metadata":
                    OpenAiChat.CommonFields.Metadata(ref json, facts);
                    break;
                case "service_tier":
                    facts.ServiceTier = json.ExtensibleValue("service_tier", Tiers, isRead: false);
                    break;
                case "prompt_cache_key":
                    json.Text("prompt_cache_key");
                    break;
                case "user":
                    if (json.Text("user")) facts.Label().User = json.GetString();
                    break;
                case "prompt_cache_retention":
                    json.ExtensibleValue("prompt_cache_retention", ["in_memory", "in-memory", "24h"], isRead: false);
                    break;
                case "safety_identifier":
                    if (json.Text("safety_identifier", 64)) facts.Label().SafetyIdentifier = json.GetString();
                    break;
                case "fairlead":
                    facts.Extension = ExtensionReader.Read(ref json, showsValues: true);
                    facts.ExtensionMemberRange = BodySplicer.MemberWithComma(json.Body, nameStart, json.End, first);
                    break;
            }
            first = false;
        }
        json.Leave();
        if (facts.Model.Length == 0) throw RequestErrors.Missing("model");
        if (!facts.Stream && !facts.StreamOptionsRange.IsEmpty && json.Body[facts.StreamOptionsRange.Start] == (byte)'{')
        {
            throw RequestErrors.Invalid("stream_options", "'stream_options' is only allowed when 'stream' is true.", "invalid_value");
        }
        if (found.Background && !found.Stores)
        {
            throw RequestErrors.Invalid("background", "A background response must be stored: leave 'store' out, or send true.",
                "invalid_value");
        }
        tools.Finish();
        return seen;
    }

    private static int Find(ReadOnlySpan<byte> name)
    {
        for (var i = 0; i < Names.Length; i++)
        {
            if (Names[i].Length == name.Length && System.Text.Ascii.Equals(name, Names[i])) return i;
        }
        return -1;
    }

    private static void StreamOptions(ref BodyCursor json, RequestFacts facts)
    {
        var start = json.Start;
        if (json.Object("stream_options"))
        {
            while (json.NextMember())
            {
                var isObfuscation = json.Is("include_obfuscation"u8);
                json.Next();
                if (isObfuscation) json.Boolean("stream_options.include_obfuscation");
                else json.Skip();
            }
        }
        facts.StreamOptionsRange = new ByteRange(start, json.End - start);
    }

    private static void Reasoning(ref BodyCursor json, RequestFacts facts)
    {
        if (!json.Object("reasoning")) return;
        while (json.NextMember())
        {
            var field = json.Is("effort"u8) ? 1 : json.Is("summary"u8) ? 2 : json.Is("generate_summary"u8) ? 3 : 0;
            json.Next();
            switch (field)
            {
                case 1:
                    if ((facts.ReasoningEffort = json.ExtensibleValue("reasoning.effort", Efforts)) is not null)
                    {
                        facts.Note(RequestFeatures.ReasoningEffort, "reasoning.effort");
                    }
                    break;
                case 2: json.ExtensibleValue("reasoning.summary", Summaries, isRead: false); break;
                case 3: json.ExtensibleValue("reasoning.generate_summary", Summaries, isRead: false); break;
                default: json.Skip(); break;
            }
        }
    }

    private static void Include(ref BodyCursor json, RequestFacts facts, ResponsesFacts found)
    {
        var start = json.Start;
        if (!json.Array("include")) return;
        var index = 0;
        while (json.NextItem())
        {
            var path = new FieldPath("include", index++);
            var word = json.ExtensibleValue(path, Includes, isRead: false) ?? throw RequestErrors.Type(path, "a string", "null");
            if (word == "reasoning.encrypted_content") found.IncludesSealedReasoning = true;
            if (word != "message.output_text.logprobs") continue;
            found.IncludesLogprobs = true;
            facts.Note(RequestFeatures.Logprobs, path.ToString());
        }
        found.Include = new ByteRange(start, json.End - start);
    }

    private static GatewayErrorException Unsupported(string field, string message) => new(GatewayError.Unsupported(field, message));
}
