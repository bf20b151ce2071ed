using System.Text.Json;
using Fairlead.Configuration;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiCompletions;

/// <summary>Checks a text completion request and fills its facts, in one pass over the bytes.</summary>
internal static class CompletionsRequestReader
{
    private const int MaxLogprobs = 5;
    private const int MaxBestOf = 20;

    public static GatewayError? Read(GatewayCall call, RequestBounds bounds) => BodyCursor.Run(call, bounds, Pass);

    private static void Pass(ref BodyCursor json, GatewayCall call, RequestBounds bounds)
    {
        var facts = call.Facts;
        Span<byte> scratch = stackalloc byte[OpenAiFields.MaxNameLength];
        var seen = 0UL;
        var first = true;
        long? bestOf = null;

        json.EnterRoot();
        while (json.NextMember())
        {
            var nameStart = json.Start;
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
                    case OpenAiField.Prompt:
                        Prompt(ref json, facts, bounds);
                        break;
                    case OpenAiField.Suffix:
                        if (json.Text("suffix")) facts.TextBytes += json.Value.Length;
                        break;
                    case OpenAiField.Echo:
                        json.Boolean("echo");
                        break;
                    case OpenAiField.BestOf:
                        bestOf = json.Integer("best_of", 1, MaxBestOf);
                        break;
                    case OpenAiField.Logprobs:
                        if (json.Integer("logprobs", 0, MaxLogprobs) is not null) facts.Note(RequestFeatures.Logprobs, "logprobs");
                        break;
                    case OpenAiField.Fairlead:
                        facts.Extension = ExtensionReader.Read(ref json);
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
        if ((seen & (1UL << (int)OpenAiField.Prompt)) == 0) throw RequestErrors.Missing("prompt");
        if (bestOf < facts.ChoiceCount) throw RequestErrors.Value("best_of", "it must not be smaller than 'n'.");
        facts.BestOf = (int)(bestOf ?? 1);
        if (bestOf > 1 && facts.Stream) throw RequestErrors.Value("best_of", "a stream supports only one.");
    }

    private static void Prompt(ref BodyCursor json, RequestFacts facts, RequestBounds bounds)
    {
        switch (json.Token)
        {
            case JsonTokenType.String:
                facts.TextBytes += json.Value.Length;
                facts.MessageCount = 1;
                facts.Note(RequestFeatures.UserText);
                return;
            case JsonTokenType.StartArray:
                break;
            default:
                throw RequestErrors.Type("prompt", "a string, an array of strings, or an array of tokens", json.Describe());
        }
        var count = 0;
        var tokens = false;
        while (json.NextItem())
        {
            var path = new FieldPath("prompt", count);
            if (count > 0 && tokens != (json.Token == JsonTokenType.Number))
            {
                throw RequestErrors.Type(path, tokens
                    ? "an integer, like the items before it"
                    : "a string or an array of tokens, like the items before it", json.Describe());
            }
            switch (json.Token)
            {
                case JsonTokenType.Number:
                    tokens = true;
                    json.Integer(path, 0, int.MaxValue);
                    facts.InputTokenIds++;
                    break;
                case JsonTokenType.String:
                    facts.TextBytes += json.Value.Length;
                    facts.Note(RequestFeatures.UserText);
                    break;
                case JsonTokenType.StartArray:
                    while (json.NextItem())
                    {
                        if (json.Token != JsonTokenType.Number)
                        {
                            throw RequestErrors.Type(path, "an array of integers", "an array with " + json.Describe());
                        }
                        json.Integer(path, 0, int.MaxValue);
                        facts.InputTokenIds++;
                    }
                    break;
                default:
                    throw RequestErrors.Type(path, "a string, an integer or an array of integers", json.Describe());
            }
            count++;
            // A list of tokens is one prompt of any length; separate prompts are limited like messages.
            if (!tokens && count > bounds.MaxMessages) throw RequestErrors.TooMany("prompt", bounds.MaxMessages);
        }
        if (count == 0) throw RequestErrors.EmptyArray("prompt");
        facts.MessageCount = facts.PromptCount = tokens ? 1 : count;
    }
}
