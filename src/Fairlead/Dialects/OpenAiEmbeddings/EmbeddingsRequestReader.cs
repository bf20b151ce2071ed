using System.Text.Json;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiEmbeddings;

/// <summary>Reads an embeddings request in one pass: a text, texts, token ids, or lists of token ids.</summary>
internal static class EmbeddingsRequestReader
{
    private const int MaxModelLength = 256;
    private const int MaxInputs = 2048;

    /// <summary>Token ids in one input.</summary>
    private const int MaxTokens = 8192;

    /// <summary>Token ids in all inputs together.</summary>
    private const int MaxTokensInAll = 300_000;

    private const int MaxDimensions = 65_536;

    private static readonly string[] Formats = ["float", "base64"];

    private static readonly string[] Fields = ["model", "input", "encoding_format", "dimensions", "user", "fairlead"];

    public static GatewayError? Read(GatewayCall call, RequestBounds bounds) => BodyCursor.Run(call, bounds, Pass);

    public static EmbeddingsRequest ToEmbeddings(GatewayCall call)
    {
        // The first pass has limited the depth.
        using var document = JsonDocument.Parse(call.Body.WrittenMemory, new JsonDocumentOptions { MaxDepth = 1024 });
        var root = document.RootElement;
        var input = root.GetProperty("input");
        List<EmbeddingInput> inputs = [];
        if (input.ValueKind == JsonValueKind.String)
        {
            inputs.Add(new EmbeddingInput(input.GetString(), null));
        }
        else if (input[0].ValueKind == JsonValueKind.Number)
        {
            inputs.Add(Tokens(input));
        }
        else
        {
            foreach (var item in input.EnumerateArray())
            {
                inputs.Add(item.ValueKind == JsonValueKind.String ? new EmbeddingInput(item.GetString(), null) : Tokens(item));
            }
        }
        return new EmbeddingsRequest(inputs)
        {
            Dimensions = call.Facts.Dimensions,
            EndUser = root.TryGetProperty("user", out var user) ? user.GetString() : null,
        };
    }

    private static EmbeddingInput Tokens(JsonElement list) => new(null, [.. list.EnumerateArray().Select(t => t.GetInt32())]);

    private static void Pass(ref BodyCursor json, GatewayCall call, RequestBounds bounds)
    {
        var facts = call.Facts;
        var seen = 0;
        var first = true;
        var hasInput = false;
        json.EnterRoot();
        while (json.NextMember())
        {
            var nameStart = json.Start;
            var field = -1;
            for (var i = 0; i < Fields.Length && field < 0; i++)
            {
                if (json.Is(NameOf(i))) field = i;
            }
            if (field >= 0)
            {
                if ((seen & (1 << field)) != 0) throw RequestErrors.Duplicate(Fields[field]);
                seen |= 1 << field;
            }
            json.Next();
            switch (field)
            {
                case 0:
                    if (!json.Text("model", MaxModelLength)) throw RequestErrors.Missing("model");
                    if (json.Value.IsEmpty) throw RequestErrors.EmptyString("model");
                    facts.Model = json.GetString();
                    facts.ModelRange = json.Range;
                    break;
                case 1:
                    hasInput = Input(ref json, facts);
                    break;
                case 2:
                    facts.Base64Vectors = json.Word("encoding_format", Formats) == "base64";
                    break;
                case 3:
                    facts.Dimensions = (int?)json.Integer("dimensions", 1, MaxDimensions);
                    break;
                case 4:
                    if (json.Text("user")) facts.Label().User = json.GetString();
                    break;
                case 5:
                    facts.Extension = ExtensionReader.Read(ref json);
                    facts.ExtensionMemberRange = BodySplicer.MemberWithComma(json.Body, nameStart, json.End, first);
                    break;
                default:
                    json.Skip();
                    break;
            }
            first = false;
        }
        json.Leave();
        if (facts.Model.Length == 0) throw RequestErrors.Missing("model");
        if (!hasInput) throw RequestErrors.Missing("input");
    }

    private static bool Input(ref BodyCursor json, RequestFacts facts)
    {
        switch (json.Token)
        {
            case JsonTokenType.Null:
                return false;
            case JsonTokenType.String:
                Text(ref json, facts, "input");
                facts.MessageCount = 1;
                return true;
            case JsonTokenType.StartArray:
                List(ref json, facts);
                return true;
            default:
                throw RequestErrors.Type("input", "a string, an array of strings or an array of token ids", json.Describe());
        }
    }

    // The first item determines the list: token ids are one input, texts and lists of ids one each.
    private static void List(ref BodyCursor json, RequestFacts facts)
    {
        var kind = JsonTokenType.None;
        var count = 0;
        while (json.NextItem())
        {
            if (kind == JsonTokenType.None)
            {
                kind = json.Token;
                if (kind is not (JsonTokenType.String or JsonTokenType.Number or JsonTokenType.StartArray))
                {
                    throw RequestErrors.Type(new FieldPath("input", 0), "a string, a token id or an array of token ids", json.Describe());
                }
            }
            var path = new FieldPath("input", count);
            if (json.Token != kind)
            {
                var expected = kind switch
                {
                    JsonTokenType.String => "a string",
                    JsonTokenType.Number => "a token id",
                    _ => "an array of token ids",
                };
                throw RequestErrors.Type(path, expected, json.Describe());
            }
            count++;
            switch (kind)
            {
                case JsonTokenType.String:
                    if (count > MaxInputs) throw RequestErrors.TooMany("input", MaxInputs);
                    Text(ref json, facts, path);
                    break;
                case JsonTokenType.Number:
                    if (count > MaxTokens) throw RequestErrors.TooMany("input", MaxTokens);
                    json.Integer(path, 0, int.MaxValue);
                    facts.InputTokenIds++;
                    break;
                default:
                    if (count > MaxInputs) throw RequestErrors.TooMany("input", MaxInputs);
                    TokenList(ref json, facts, count - 1);
                    break;
            }
        }
        if (count == 0) throw RequestErrors.EmptyArray("input");
        if (facts.InputTokenIds > MaxTokensInAll)
        {
            throw RequestErrors.Value("input", $"the inputs together exceed {MaxTokensInAll} tokens; send them in several requests.");
        }
        facts.MessageCount = kind == JsonTokenType.Number ? 1 : count;
    }

    private static void TokenList(ref BodyCursor json, RequestFacts facts, int index)
    {
        var tokens = 0;
        while (json.NextItem())
        {
            if (json.Token != JsonTokenType.Number)
            {
                throw RequestErrors.Type(new FieldPath("input", index), "an array of token ids",
                    $"an array that contains {json.Describe()}");
            }
            json.Integer(new FieldPath("input", index), 0, int.MaxValue);
            if (++tokens > MaxTokens) throw RequestErrors.TooMany(new FieldPath("input", index), MaxTokens);
        }
        if (tokens == 0) throw RequestErrors.EmptyArray(new FieldPath("input", index));
        facts.InputTokenIds += tokens;
    }

    private static void Text(ref BodyCursor json, RequestFacts facts, FieldPath path)
    {
        if (json.Value.IsEmpty) throw RequestErrors.EmptyString(path);
        facts.TextBytes += json.Value.Length;
    }

    private static ReadOnlySpan<byte> NameOf(int field) => field switch
    {
        0 => "model"u8,
        1 => "input"u8,
        2 => "encoding_format"u8,
        3 => "dimensions"u8,
        4 => "user"u8,
        _ => "fairlead"u8,
    };
}
