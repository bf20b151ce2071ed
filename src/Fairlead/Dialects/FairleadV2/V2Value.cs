using System.Globalization;
using System.Text.Json;
using Fairlead.Errors;

namespace Fairlead.Dialects.FairleadV2;

/// <summary>
/// A value of a request with its position. Reads itself as the expected type, or reports the error. JSON <c>null</c> counts as
/// absent.
/// </summary>
/// <param name="Element">The value.</param>
/// <param name="At">JSON Pointer (RFC 6901) without its first slash.</param>
internal readonly record struct V2Value(JsonElement Element, string At)
{
    private string Shown => At.Length == 0 ? "The body" : $"'/{At}'";

    /// <summary>The members that are present. One that is not in <paramref name="known"/> is an error.</summary>
    public IEnumerable<(string Name, V2Value Value)> Members(params IReadOnlyList<string> known)
    {
        if (Element.ValueKind != JsonValueKind.Object) throw Type("an object");
        foreach (var member in Element.EnumerateObject())
        {
            var at = Under(RequestErrors.Shown(member.Name).Replace("~", "~0", StringComparison.Ordinal)
                .Replace("/", "~1", StringComparison.Ordinal));
            if (!known.Contains(member.Name, StringComparer.Ordinal))
            {
                throw new GatewayErrorException(GatewayError.Unsupported(at,
                    $"The field '/{at}' is unknown; accepted are {string.Join(", ", known.Select(name => $"'{name}'"))}."));
            }
            if (member.Value.ValueKind != JsonValueKind.Null) yield return (member.Name, new V2Value(member.Value, at));
        }
    }

    /// <summary>The items, at most <paramref name="max"/>.</summary>
    public IEnumerable<V2Value> Items(int max)
    {
        if (Element.ValueKind != JsonValueKind.Array) throw Type("an array");
        if (Element.GetArrayLength() > max) throw Invalid(string.Create(CultureInfo.InvariantCulture, $"expected at most {max} items"));
        var index = 0;
        foreach (var item in Element.EnumerateArray())
        {
            yield return new V2Value(item, Under(index++.ToString(CultureInfo.InvariantCulture)));
        }
    }

    public string Text(int max = int.MaxValue, bool mayBeEmpty = false)
    {
        if (Element.ValueKind != JsonValueKind.String) throw Type("a string");
        var text = Element.GetString()!;
        if (text.Length == 0 && !mayBeEmpty) throw Invalid("expected a non-empty string");
        if (text.Length > max) throw Invalid(string.Create(CultureInfo.InvariantCulture, $"expected at most {max} characters"));
        return text;
    }

    /// <summary>Inline media.</summary>
    public Conversation.MediaData Media(ReadOnlyMemory<byte> source)
    {
        if (Element.ValueKind != JsonValueKind.String) throw Type("a string");
        var data = Conversation.MediaData.Of(Element, source);
        return data.Length > 0 ? data : throw Invalid("expected a non-empty string");
    }

    public string Word(params IReadOnlyList<string> words)
    {
        var word = Text();
        return words.Contains(word, StringComparer.Ordinal)
            ? word
            : throw Invalid($"accepted are {string.Join(", ", words.Select(one => $"'{one}'"))}");
    }

    public bool Boolean() => Element.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Type("a boolean"),
    };

    public long Integer(long min, long max)
    {
        if (Element.ValueKind != JsonValueKind.Number || !Element.TryGetInt64(out var value)) throw Type("an integer");
        return value >= min && value <= max
            ? value
            : throw Invalid(string.Create(CultureInfo.InvariantCulture, $"expected an integer from {min} to {max}"));
    }

    public double Number(double min, double max)
    {
        if (Element.ValueKind != JsonValueKind.Number || !Element.TryGetDouble(out var value)) throw Type("a number");
        return value >= min && value <= max
            ? value
            : throw Invalid(string.Create(CultureInfo.InvariantCulture, $"expected a number from {min} to {max}"));
    }

    /// <summary>An amount of US dollars above 0.</summary>
    public decimal Money()
    {
        if (Element.ValueKind != JsonValueKind.Number || !Element.TryGetDecimal(out var value)) throw Type("a number");
        return value > 0 ? value : throw Invalid("expected an amount of US dollars above 0");
    }

    public string Under(string name) => At.Length == 0 ? name : $"{At}/{name}";

    public GatewayErrorException Missing(string name) => new(GatewayError.Missing(Under(name)));

    public GatewayErrorException Invalid(string reason) => new(GatewayError.Invalid(At, $"Invalid value for {Shown}: {reason}."));

    public GatewayErrorException Type(string expected) =>
        new(GatewayError.Invalid(At, $"Invalid type for {Shown}: expected {expected}, but got {Describe()}."));

    private string Describe() => Element.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "an array",
        JsonValueKind.String => "a string",
        JsonValueKind.Number => "a number",
        JsonValueKind.True or JsonValueKind.False => "a boolean",
        _ => "null",
    };
}
