using System.Text.Json;
using Fairlead.Configuration;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>Checks a chat request and fills its facts, in one pass over the bytes.</summary>
internal static class ChatRequestReader
{

    private static readonly string[] Efforts = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];
    private static readonly string[] Verbosities = ["low", "medium", "high"];
    private static readonly string[] Tiers = ["auto", "default", "flex", "scale", "priority", "fast"];
    private static readonly string[] OutputModalities = ["text", "audio"];
    private static readonly string[] AudioFormats = ["wav", "aac", "mp3", "flac", "opus", "pcm16"];
    private static readonly string[] Retentions = ["in_memory", "in-memory", "24h"];
    private static readonly string[] CacheModes = ["implicit", "explicit"];

    public static GatewayError? Read(GatewayCall call, RequestBounds bounds) => BodyCursor.Run(call, bounds, Pass);

    private static void Pass(ref BodyCursor json, GatewayCall call, RequestBounds bounds)
    {
        var facts = call.Facts;
        Span<byte> scratch = stackalloc byte[OpenAiFields.MaxNameLength];
        var seen = 0UL;
        var first = true;
        bool? logprobs = null;
        var (topLogprobs, audioWanted, audioSettings) = (false, false, false);
        var toolState = new ChatToolsReader(call.Body.WrittenMemory);

        json.EnterRoot();
        while (json.NextMember())
        {
            var nameStart = json.Start;
            var nameLength = json.Value.Length + 2;
            var field = OpenAiFields.Find(json.Name(scratch));
            if (field != OpenAiField.Unknown)
            {
                var bit = 1UL << (int)field;
                if ((seen & bit) != 0) throw RequestErrors.Duplicate(json.GetString());
                seen |= bit;
            }
            json.Next();
            if (field == OpenAiField.Unknown || !CommonFields.Read(ref json, field, facts))
            {
                switch (field)
                {
                    case OpenAiField.Messages:
                        ChatMessagesReader.Read(ref json, facts, bounds);
                        break;
                    case OpenAiField.MaxCompletionTokens:
                        CommonFields.Cap(ref json, facts, "max_completion_tokens");
                        facts.NewCapName = new ByteRange(nameStart, nameLength);
                        break;
                    case OpenAiField.Logprobs:
                        if ((logprobs = json.Boolean("logprobs")) == true) facts.Note(RequestFeatures.Logprobs, "logprobs");
                        break;
                    case OpenAiField.TopLogprobs:
                        topLogprobs = json.Integer("top_logprobs", 0, 20) > 0;
                        break;
                    case OpenAiField.Tools:
                        toolState.Tools(ref json, facts);
                        break;
                    case OpenAiField.ToolChoice:
                        toolState.Choice(ref json);
                        break;
                    case OpenAiField.Functions:
                        toolState.Functions(ref json, facts);
                        break;
                    case OpenAiField.FunctionCall:
                        toolState.FunctionCall(ref json);
                        break;
                    case OpenAiField.ResponseFormat:
                        toolState.ResponseFormat(ref json, facts);
                        break;
                    case OpenAiField.ParallelToolCalls:
                        json.Boolean("parallel_tool_calls");
                        break;
                    case OpenAiField.ReasoningEffort:
                        if ((facts.ReasoningEffort = json.ExtensibleValue("reasoning_effort", Efforts)) is not null)
                        {
                            facts.Note(RequestFeatures.ReasoningEffort, "reasoning_effort");
                        }
                        break;
                    case OpenAiField.Verbosity:
                        json.ExtensibleValue("verbosity", Verbosities);
                        break;
                    case OpenAiField.ServiceTier:
                        facts.ServiceTier = json.ExtensibleValue("service_tier", Tiers, isRead: false);
                        break;
                    case OpenAiField.Modalities:
                        audioWanted = Modalities(ref json, facts);
                        break;
                    case OpenAiField.Audio:
                        audioSettings = Audio(ref json);
                        break;
                    case OpenAiField.Prediction:
                        Prediction(ref json);
                        break;
                    case OpenAiField.Store:
                        json.Boolean("store");
                        break;
                    case OpenAiField.Metadata:
                        CommonFields.Metadata(ref json, facts);
                        break;
                    case OpenAiField.PromptCacheKey:
                        json.Text("prompt_cache_key");
                        break;
                    case OpenAiField.PromptCacheOptions:
                        CacheOptions(ref json);
                        break;
                    case OpenAiField.PromptCacheRetention:
                        json.ExtensibleValue("prompt_cache_retention", Retentions, isRead: false);
                        break;
                    case OpenAiField.SafetyIdentifier:
                        if (json.Text("safety_identifier", 64)) facts.Label().SafetyIdentifier = json.GetString();
                        break;
                    case OpenAiField.Moderation:
                        if (json.Object("moderation")) json.Skip();
                        break;
                    case OpenAiField.WebSearchOptions:
                        if (json.Object("web_search_options")) json.Skip();
                        break;
                    case OpenAiField.Fairlead:
                        facts.Extension = ExtensionReader.Read(ref json, showsValues: true);
                        facts.ExtensionMemberRange = BodySplicer.MemberWithComma(json.Body, nameStart, json.End, first);
                        break;
                    default:
                        json.Skip();
                        break;
                }
            }
            first = false;
        }
        json.Leave();

        CommonFields.Finish(json, facts);
        if ((seen & (1UL << (int)OpenAiField.Messages)) == 0) throw RequestErrors.Missing("messages");
        if (topLogprobs && logprobs != true)
        {
            throw RequestErrors.Invalid("top_logprobs", "'top_logprobs' is only allowed when 'logprobs' is true.", "invalid_value");
        }
        if (audioWanted && !audioSettings) throw RequestErrors.Missing("audio");
        toolState.Finish();
    }

    private static bool Modalities(ref BodyCursor json, RequestFacts facts)
    {
        if (!json.Array("modalities")) return false;
        var (count, audio) = (0, false);
        while (json.NextItem())
        {
            var path = new FieldPath("modalities", count++);
            var word = json.ExtensibleValue(path, OutputModalities) ?? throw RequestErrors.Type(path, "a string", "null");
            if (word != "audio") continue;
            audio = true;
            facts.Note(RequestFeatures.AudioOutput, "modalities");
        }
        if (count == 0) throw RequestErrors.EmptyArray("modalities");
        return audio;
    }

    private static bool Audio(ref BodyCursor json)
    {
        if (!json.Object("audio")) return false;
        var (voice, format) = (false, false);
        while (json.NextMember())
        {
            if (json.Is("voice"u8))
            {
                json.Next();
                // A custom voice is an object with its id.
                if (json.Token == JsonTokenType.StartObject) json.Skip();
                else json.RequiredText("audio.voice");
                voice = true;
            }
            else if (json.Is("format"u8))
            {
                json.Next();
                format = json.ExtensibleValue("audio.format", AudioFormats) is not null;
            }
            else
            {
                json.Next();
                json.Skip();
            }
        }
        if (!voice) throw RequestErrors.Missing("audio.voice");
        if (!format) throw RequestErrors.Missing("audio.format");
        return true;
    }

    private static void Prediction(ref BodyCursor json)
    {
        if (!json.Object("prediction")) return;
        var (type, content) = (false, false);
        while (json.NextMember())
        {
            if (json.Is("type"u8))
            {
                json.Next();
                type = json.ExtensibleValue("prediction.type", ["content"], isRead: false) is not null;
            }
            else if (json.Is("content"u8))
            {
                json.Next();
                if (json.Token is not (JsonTokenType.String or JsonTokenType.StartArray))
                {
                    throw RequestErrors.Type("prediction.content", "a string or an array of text parts", json.Describe());
                }
                json.Skip();
                content = true;
            }
            else
            {
                json.Next();
                json.Skip();
            }
        }
        if (!type) throw RequestErrors.Missing("prediction.type");
        if (!content) throw RequestErrors.Missing("prediction.content");
    }

    private static void CacheOptions(ref BodyCursor json)
    {
        if (!json.Object("prompt_cache_options")) return;
        while (json.NextMember())
        {
            if (json.Is("mode"u8))
            {
                json.Next();
                json.ExtensibleValue("prompt_cache_options.mode", CacheModes, isRead: false);
            }
            else
            {
                json.Next();
                json.Skip();
            }
        }
    }
}
