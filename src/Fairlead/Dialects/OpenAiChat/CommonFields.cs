using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>Fields that chat and text completions share.</summary>
internal static class CommonFields
{
    private const int MaxModelLength = 256;
    private const int MaxStops = 4;
    private const int MaxChoices = 128;
    private const int MaxMetadata = 16;

    /// <summary>
    /// Reads the value of <paramref name="field"/> at the position of <paramref name="json"/>. False when the field is not one of these.
    /// </summary>
    public static bool Read(ref BodyCursor json, OpenAiField field, RequestFacts facts)
    {
        switch (field)
        {
            case OpenAiField.Model:
                if (!json.Text("model", MaxModelLength)) throw RequestErrors.Missing("model");
                if (json.Value.IsEmpty) throw RequestErrors.EmptyString("model");
                facts.Model = json.GetString();
                facts.ModelRange = json.Range;
                return true;
            case OpenAiField.MaxTokens:
                Cap(ref json, facts, "max_tokens");
                return true;
            case OpenAiField.Temperature:
                if ((facts.Temperature = json.Number("temperature", 0, 2)) is not null)
                {
                    facts.Note(RequestFeatures.Temperature, "temperature");
                }
                return true;
            case OpenAiField.TopP:
                if ((facts.TopP = json.Number("top_p", 0, 1)) is not null) facts.Note(RequestFeatures.TopP, "top_p");
                return true;
            case OpenAiField.FrequencyPenalty:
                if (json.Number("frequency_penalty", -2, 2) is not null) facts.Note(RequestFeatures.Penalties, "frequency_penalty");
                return true;
            case OpenAiField.PresencePenalty:
                if (json.Number("presence_penalty", -2, 2) is not null) facts.Note(RequestFeatures.Penalties, "presence_penalty");
                return true;
            case OpenAiField.N:
                facts.ChoiceCount = (int)(json.Integer("n", 1, MaxChoices) ?? 1);
                return true;
            case OpenAiField.Stop:
                Stop(ref json);
                return true;
            case OpenAiField.Seed:
                if ((facts.Seed = json.Integer("seed", long.MinValue, long.MaxValue)) is not null) facts.Note(RequestFeatures.Seed, "seed");
                return true;
            case OpenAiField.LogitBias:
                LogitBias(ref json);
                return true;
            case OpenAiField.Stream:
                facts.Stream = json.Boolean("stream") ?? false;
                return true;
            case OpenAiField.StreamOptions:
                StreamOptions(ref json, facts);
                return true;
            case OpenAiField.User:
                if (json.Text("user")) facts.Label().User = json.GetString();
                return true;
            default:
                return false;
        }
    }

    public static void Cap(ref BodyCursor json, RequestFacts facts, string field)
    {
        if (json.Integer(field, 1, int.MaxValue) is not { } cap) return;
        if (facts.MaxOutputTokens is not null)
        {
            throw RequestErrors.Invalid(field,
                "'max_tokens' and 'max_completion_tokens' cannot both be set; send 'max_completion_tokens' only.", "invalid_value");
        }
        facts.MaxOutputTokens = (int)cap;
        facts.MaxOutputTokensField = field;
    }

    /// <summary>Pairs of texts that the client attaches to its request.</summary>
    public static void Metadata(ref BodyCursor json, RequestFacts facts)
    {
        if (!json.Object("metadata")) return;
        var count = 0;
        while (json.NextMember())
        {
            if (++count > MaxMetadata)
            {
                throw RequestErrors.Invalid("metadata", $"Invalid 'metadata': expected at most {MaxMetadata} pairs.",
                    "object_above_max_properties");
            }
            var key = json.GetString();
            if (key.Length > 64)
            {
                throw RequestErrors.Invalid("metadata", "Invalid 'metadata': expected keys of at most 64 characters.",
                    "string_above_max_length");
            }
            json.Next();
            if (json.IsNull) throw RequestErrors.Type("metadata", "strings as values", "null");
            json.Text("metadata", 512);
            facts.Label().Add(key, json.GetString());
        }
    }

    /// <summary>Validation after the whole body has been read.</summary>
    public static void Finish(in BodyCursor json, RequestFacts facts)
    {
        if (facts.Model.Length == 0) throw RequestErrors.Missing("model");
        var options = facts.StreamOptionsRange;
        if (!facts.Stream && !options.IsEmpty && json.Body[options.Start] == (byte)'{')
        {
            throw RequestErrors.Invalid("stream_options", "'stream_options' is only allowed when 'stream' is true.", "invalid_value");
        }
    }

    private static void Stop(ref BodyCursor json)
    {
        switch (json.Token)
        {
            case System.Text.Json.JsonTokenType.Null or System.Text.Json.JsonTokenType.String:
                return;
            case System.Text.Json.JsonTokenType.StartArray:
                var count = 0;
                while (json.NextItem())
                {
                    if (json.Token != System.Text.Json.JsonTokenType.String)
                    {
                        throw RequestErrors.Type(new FieldPath("stop", count), "a string", json.Describe());
                    }
                    // A translation checks what its provider accepts.
                    if (++count == MaxStops + 1) json.NoteUnknownValue(RequestErrors.TooMany("stop", MaxStops).Error, isRead: false);
                }
                return;
            default:
                throw RequestErrors.Type("stop", "a string or an array of up to 4 strings", json.Describe());
        }
    }

    private static void LogitBias(ref BodyCursor json)
    {
        if (!json.Object("logit_bias")) return;
        while (json.NextMember())
        {
            var name = json.Value;
            var plain = !name.IsEmpty && name.Length <= 10 && name.IndexOfAnyExceptInRange((byte)'0', (byte)'9') < 0;
            if (!plain) throw RequestErrors.Value("logit_bias", "every key must be a token id.");
            json.Next();
            if (json.IsNull) throw RequestErrors.Type("logit_bias", "numbers from -100 to 100", "null");
            json.Number("logit_bias", -100, 100);
        }
    }

    private static void StreamOptions(ref BodyCursor json, RequestFacts facts)
    {
        var start = json.Start;
        if (json.Object("stream_options"))
        {
            var seen = false;
            while (json.NextMember())
            {
                if (json.Is("include_usage"u8))
                {
                    if (seen) throw RequestErrors.Duplicate("stream_options.include_usage");
                    seen = true;
                    json.Next();
                    facts.IncludeUsage = json.Boolean("stream_options.include_usage") ?? false;
                }
                else if (json.Is("include_obfuscation"u8))
                {
                    json.Next();
                    json.Boolean("stream_options.include_obfuscation");
                }
                else
                {
                    json.Next();
                    json.Skip();
                }
            }
        }
        facts.StreamOptionsRange = new ByteRange(start, json.End - start);
    }
}
