using System.Globalization;
using System.Text.Json;
using Fairlead.Errors;
using Fairlead.Http;

namespace Fairlead.Policies.Moderation;

/// <summary>A checked request of <c>POST /v1/moderations</c>.</summary>
/// <param name="Model">The model that it names; null for none.</param>
/// <param name="Inputs">What is judged: one result for each.</param>
internal sealed record ModerationInput(string? Model, IReadOnlyList<ModerationItem> Inputs)
{
    /// <summary>Texts of one request.</summary>
    public const int MaxInputs = 1_000;

    private const int MaxModelLength = 256;

    /// <exception cref="GatewayErrorException">A field is missing, unknown or has a wrong value.</exception>
    public static ModerationInput Read(JsonElement body)
    {
        foreach (var member in body.EnumerateObject())
        {
            if (member.Name is not ("input" or "model"))
            {
                var shown = member.Name.Length > 64 ? member.Name[..64] : member.Name;
                var message = $"Unknown parameter: '{shown}'; accepted are 'input' and 'model'.";
                throw Refuse(GatewayError.Unsupported(shown, message), "unknown_parameter");
            }
        }
        if (!body.TryGetProperty("input", out var input) || input.ValueKind == JsonValueKind.Null)
            throw new GatewayErrorException(GatewayError.Missing("input"));
        return new ModerationInput(ModelOf(body), ItemsOf(input));
    }

    private static string? ModelOf(JsonElement body)
    {
        if (!body.TryGetProperty("model", out var model) || model.ValueKind == JsonValueKind.Null) return null;
        if (model.ValueKind != JsonValueKind.String) throw Type("model", "a string", model);
        var name = TextOf(model, "model");
        if (name.Length is 0 or > MaxModelLength)
            throw Refuse(GatewayError.Invalid("model", "Invalid 'model': 1 to 256 characters are accepted."), "invalid_value");
        return name;
    }

    private static List<ModerationItem> ItemsOf(JsonElement input)
    {
        if (input.ValueKind == JsonValueKind.String) return [new ModerationItem([TextOf(input, "input")], Images: 0)];
        if (input.ValueKind != JsonValueKind.Array) throw Type("input", "a string or an array", input);
        var count = input.GetArrayLength();
        if (count is 0 or > MaxInputs)
        {
            throw Refuse(
                GatewayError.Invalid("input", string.Create(
                    CultureInfo.InvariantCulture, $"Invalid 'input': 1 to {MaxInputs} items are accepted, not {count}.")), "invalid_value");
        }
        return input[0].ValueKind == JsonValueKind.Object ? [PartsOf(input)] : TextsOf(input);
    }

    private static List<ModerationItem> TextsOf(JsonElement input)
    {
        var items = new List<ModerationItem>();
        foreach (var text in input.EnumerateArray())
        {
            var path = string.Create(CultureInfo.InvariantCulture, $"input[{items.Count}]");
            if (text.ValueKind != JsonValueKind.String) throw Type(path, "a string", text);
            items.Add(new ModerationItem([TextOf(text, path)], Images: 0));
        }
        return items;
    }

    // The parts of one message get one result.
    private static ModerationItem PartsOf(JsonElement input)
    {
        var texts = new List<string>();
        var images = 0;
        var index = 0;
        foreach (var part in input.EnumerateArray())
        {
            var path = string.Create(CultureInfo.InvariantCulture, $"input[{index++}]");
            if (part.ValueKind != JsonValueKind.Object) throw Type(path, "an object", part);
            var type = part.TryGetProperty("type", out var word) && word.ValueKind == JsonValueKind.String ? TextOf(word, path) : null;
            switch (type)
            {
                case "text":
                    if (!part.TryGetProperty("text", out var text)) throw new GatewayErrorException(GatewayError.Missing(path + ".text"));
                    if (text.ValueKind != JsonValueKind.String) throw Type(path + ".text", "a string", text);
                    texts.Add(TextOf(text, path + ".text"));
                    break;
                case "image_url":
                    if (!part.TryGetProperty("image_url", out var image) || image.ValueKind != JsonValueKind.Object
                        || !image.TryGetProperty("url", out var url) || url.ValueKind != JsonValueKind.String)
                    {
                        throw new GatewayErrorException(GatewayError.Missing(path + ".image_url.url"));
                    }
                    images++;
                    break;
                default:
                    throw Refuse(
                        GatewayError.Invalid(path + ".type", $"Invalid value for '{path}.type': accepted are 'text' and 'image_url'."),
                        "invalid_value");
            }
        }
        return new ModerationItem(texts, images);
    }

    private static string TextOf(JsonElement value, string path)
    {
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException)
        {
            var message = $"'{path}' contains half of a surrogate pair, which is not a character.";
            throw Refuse(GatewayError.Invalid(path, message), "invalid_value");
        }
    }

    private static GatewayErrorException Type(string path, string expected, JsonElement value) => Refuse(
        GatewayError.Invalid(path, $"Invalid type for '{path}': expected {expected}, but got a {JsonTypeNames.Of(value.ValueKind)}."),
        "invalid_type");

    private static GatewayErrorException Refuse(GatewayError error, string code) => new(error with { OpenAiCode = code });
}

/// <summary>What gets one result.</summary>
/// <param name="Texts">Its texts.</param>
/// <param name="Images">How many images it has too.</param>
internal sealed record ModerationItem(IReadOnlyList<string> Texts, int Images);
