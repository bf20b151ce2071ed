using System.Globalization;
using System.Text.Json;
using Fairlead.Errors;

namespace Fairlead.Http;

/// <summary>Reads the fields of a body and gathers every fault, so that one answer names them all.</summary>
internal sealed class BodyFields
{
    /// <summary>A body full of rubbish gets an answer of bounded size.</summary>
    private const int MaxFaults = 50;

    private readonly JsonElement _body;
    private readonly List<(ErrorCode Code, FieldFault Fault)> _faults = [];

    /// <param name="body">A JSON object without repeated names.</param>
    /// <param name="known">Fields the endpoint takes; every other one is a fault.</param>
    /// <param name="refused">Fields it knows but does not take, each with the reason.</param>
    public BodyFields(JsonElement body, IReadOnlyList<string> known, IReadOnlyDictionary<string, string>? refused = null)
    {
        _body = body;
        foreach (var field in body.EnumerateObject())
        {
            var name = NameOf(field);
            if (name is not null && known.Contains(name)) continue;
            if (name is not null && refused is not null && refused.TryGetValue(name, out var reason)) Fault(ErrorCode.UnsupportedParameter, PointerTo(name), reason);
            else Fault(ErrorCode.UnsupportedParameter, PointerTo(Shortened(name)), known.Count == 0 ? "Unknown field; this request takes none." : $"Unknown field; this request takes {string.Join(", ", known)}.");
        }
    }

    /// <summary>Whether the field is there, be it with null.</summary>
    public bool Has(string name) => _body.TryGetProperty(name, out _);

    /// <summary>Whether the field is there with a value.</summary>
    public bool HasValue(string name) => _body.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null;

    public void Invalid(string name, string detail) => Fault(ErrorCode.InvalidParameter, PointerTo(name), detail);

    public void Missing(string name) => Fault(ErrorCode.MissingParameter, PointerTo(name), "The field is required.");

    /// <summary>A text, or null when the field is absent, null or at fault.</summary>
    public string? Text(string name, int maxLength)
    {
        if (!HasValue(name)) return null;
        var text = TextOf(_body.GetProperty(name), PointerTo(name), maxLength);
        return text;
    }

    /// <summary>A whole number, or null when the field is absent, null or at fault.</summary>
    public int? Integer(string name, int min, int max)
    {
        if (!HasValue(name)) return null;
        var value = _body.GetProperty(name);
        if (value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number) && number >= min && number <= max) return number;
        Invalid(name, $"Must be a whole number from {min} to {max}.");
        return null;
    }

    /// <summary>A list of texts without repetitions, or null when the field is absent, null or at fault.</summary>
    /// <param name="name">The field.</param>
    /// <param name="maxItems">How many it may hold.</param>
    /// <param name="maxLength">Characters of one.</param>
    /// <param name="read">The stored form of an item, or what is wrong with it.</param>
    public string[]? List(string name, int maxItems, int maxLength, Func<string, (string? Value, string? Fault)>? read = null)
    {
        if (!HasValue(name)) return null;
        var value = _body.GetProperty(name);
        if (value.ValueKind != JsonValueKind.Array)
        {
            Invalid(name, $"Must be an array of strings, not a {JsonTypeNames.Of(value.ValueKind)}.");
            return null;
        }
        if (value.GetArrayLength() > maxItems)
        {
            Invalid(name, string.Create(CultureInfo.InvariantCulture, $"Has {value.GetArrayLength()} items; at most {maxItems} are accepted."));
            return null;
        }
        var before = _faults.Count;
        var items = new List<string>();
        var index = 0;
        foreach (var element in value.EnumerateArray())
        {
            var pointer = string.Create(CultureInfo.InvariantCulture, $"{PointerTo(name)}/{index++}");
            if (TextOf(element, pointer, maxLength) is not { } text) continue;
            var (item, fault) = read is null ? (text, null) : read(text);
            if (fault is not null) Fault(ErrorCode.InvalidParameter, pointer, fault);
            else if (item is not null && !items.Contains(item)) items.Add(item);
        }
        return _faults.Count == before ? [.. items] : null;
    }

    /// <exception cref="GatewayErrorException">Something was wrong; the error lists all of it.</exception>
    public void ThrowIfFaulty()
    {
        if (_faults.Count == 0) return;
        var (code, first) = _faults[0];
        var more = _faults.Count == 1 ? "" : string.Create(CultureInfo.InvariantCulture, $" ({_faults.Count - 1} more {(_faults.Count == 2 ? "fault" : "faults")} in `errors`.)");
        throw new GatewayErrorException(new GatewayError(code, $"{first.Pointer}: {first.Detail}{more}")
        {
            Parameter = first.Pointer[1..],
            Faults = [.. _faults.Select(fault => fault.Fault)],
        });
    }

    private string? TextOf(JsonElement value, string pointer, int maxLength)
    {
        if (value.ValueKind != JsonValueKind.String)
        {
            Fault(ErrorCode.InvalidParameter, pointer, $"Must be a string, not a {JsonTypeNames.Of(value.ValueKind)}.");
            return null;
        }
        string text;
        try
        {
            text = value.GetString()!;
        }
        catch (InvalidOperationException)
        {
            Fault(ErrorCode.InvalidParameter, pointer, "Holds half of a surrogate pair, which is no character.");
            return null;
        }
        var fault = text switch
        {
            _ when string.IsNullOrWhiteSpace(text) => "Must not be empty.",
            _ when text.Length > maxLength => string.Create(CultureInfo.InvariantCulture, $"Has {text.Length} characters; at most {maxLength} are accepted."),
            _ when text.Any(char.IsControl) => "Must not hold control characters.",
            _ when char.IsWhiteSpace(text[0]) || char.IsWhiteSpace(text[^1]) => "Must not begin or end with a space.",
            _ => null,
        };
        if (fault is null) return text;
        Fault(ErrorCode.InvalidParameter, pointer, fault);
        return null;
    }

    private void Fault(ErrorCode code, string pointer, string detail)
    {
        if (_faults.Count < MaxFaults) _faults.Add((code, new FieldFault(pointer, detail)));
    }

    private static string? NameOf(JsonProperty field)
    {
        try
        {
            return field.Name;
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    private static string Shortened(string? name) => name is null ? "?" : name.Length <= 64 ? name : name[..64];

    private static string PointerTo(string name) => "/" + name.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal);
}
