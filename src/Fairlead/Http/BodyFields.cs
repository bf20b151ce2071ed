using System.Globalization;
using System.Text.Json;
using Fairlead.Errors;

namespace Fairlead.Http;

/// <summary>Reads the fields of a body and collects every error, so that one response lists them all.</summary>
internal sealed class BodyFields
{
    /// <summary>Errors in one response, so that its size is limited whatever the body contains.</summary>
    private const int MaxErrors = 50;

    private readonly JsonElement _body;
    private readonly List<(ErrorCode Code, FieldError Error)> _errors = [];

    /// <param name="body">A JSON object without repeated names.</param>
    /// <param name="fields">What the endpoint accepts.</param>
    public BodyFields(JsonElement body, FieldSet fields)
    {
        _body = body;
        foreach (var field in body.EnumerateObject())
        {
            var name = JsonMemberNames.Of(field);
            if (name is not null && fields.Known.Contains(name)) continue;
            if (name is not null && fields.Refused?.GetValueOrDefault(name) is { } reason)
                AddError(ErrorCode.UnsupportedParameter, JsonMemberNames.Step(name), reason);
            else AddError(ErrorCode.UnsupportedParameter, JsonMemberNames.ShortStep(name), fields.Known.Count == 0
                ? "Unknown field; this request accepts none." : $"Unknown field; this request accepts {string.Join(", ", fields.Known)}.");
        }
    }

    /// <summary>Whether the field is present, even with null.</summary>
    public bool Has(string name) => _body.TryGetProperty(name, out _);

    /// <summary>Whether the field is present with a value other than null.</summary>
    public bool HasValue(string name) => _body.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null;

    public void Invalid(string name, string detail) => AddError(ErrorCode.InvalidParameter, JsonMemberNames.Step(name), detail);

    /// <summary>Adds the error of a value inside a field.</summary>
    public void Add(ErrorCode code, FieldError error) => AddError(code, error.Pointer, error.Detail);

    /// <summary>The field as it is, even null; null (no element) when it is absent.</summary>
    public JsonElement? Element(string name) => _body.TryGetProperty(name, out var value) ? value : null;

    public void Missing(string name) => AddError(ErrorCode.MissingParameter, JsonMemberNames.Step(name), "The field is required.");

    /// <summary>A string, or null when the field is absent, null or invalid.</summary>
    public string? Text(string name, int maxLength)
    {
        return HasValue(name) ? TextOf(_body.GetProperty(name), JsonMemberNames.Step(name), maxLength) : null;
    }

    /// <summary>As <see cref="Text"/>, but a missing field is an error.</summary>
    public string? RequiredText(string name, int maxLength)
    {
        if (!HasValue(name)) Missing(name);
        return Text(name, maxLength);
    }

    /// <summary>As <see cref="Text"/>, but null is an error: the field may only be left out.</summary>
    public string? OptionalText(string name, int maxLength)
    {
        if (Has(name) && !HasValue(name)) Invalid(name, "Must not be null.");
        return Text(name, maxLength);
    }

    /// <summary>One of <paramref name="choices"/>, or null when the field is absent, null or invalid.</summary>
    public string? OneOf(string name, params IReadOnlyList<string> choices)
    {
        if (Text(name, FieldLengths.Id) is not { } text) return null;
        if (choices.Contains(text)) return text;
        Invalid(name, $"Must be {(choices.Count == 1 ? "" : "one of ")}{string.Join(", ", choices)}.");
        return null;
    }

    /// <summary>An integer, or null when the field is absent, null or invalid.</summary>
    public int? Integer(string name, int min, int max)
    {
        if (!HasValue(name)) return null;
        var value = _body.GetProperty(name);
        if (value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number) && number >= min && number <= max) return number;
        Invalid(name, $"Must be a whole number from {min} to {max}.");
        return null;
    }

    /// <summary>A list of distinct strings, or null when the field is absent, null or invalid.</summary>
    /// <param name="name">The field.</param>
    /// <param name="maxItems">Maximum number of items.</param>
    /// <param name="maxLength">Maximum characters of an item.</param>
    /// <param name="read">The stored form of an item, or what is wrong with it.</param>
    public string[]? List(string name, int maxItems, int maxLength, Func<string, (string? Value, string? Error)>? read = null)
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
            Invalid(name, string.Create(CultureInfo.InvariantCulture,
                $"Has {value.GetArrayLength()} items; at most {maxItems} are accepted."));
            return null;
        }
        var before = _errors.Count;
        var items = new List<string>();
        var index = 0;
        foreach (var element in value.EnumerateArray())
        {
            var pointer = string.Create(CultureInfo.InvariantCulture, $"{JsonMemberNames.Step(name)}/{index++}");
            if (TextOf(element, pointer, maxLength) is not { } text) continue;
            var (item, error) = read is null ? (text, null) : read(text);
            if (error is not null) AddError(ErrorCode.InvalidParameter, pointer, error);
            else if (item is not null && !items.Contains(item)) items.Add(item);
        }
        return _errors.Count == before ? [.. items] : null;
    }

    /// <exception cref="GatewayErrorException">Something was invalid; the error lists all of it.</exception>
    public void ThrowIfInvalid()
    {
        if (_errors.Count == 0) return;
        var (code, first) = _errors[0];
        var more = _errors.Count == 1 ? ""
            : string.Create(CultureInfo.InvariantCulture,
            $" ({_errors.Count - 1} more {(_errors.Count == 2 ? "error" : "errors")} in `errors`.)");
        throw new GatewayErrorException(new GatewayError(code, $"{first.Pointer}: {first.Detail}{more}")
        {
            Parameter = first.Pointer[1..],
            Faults = [.. _errors.Select(error => error.Error)],
        });
    }

    private string? TextOf(JsonElement value, string pointer, int maxLength)
    {
        if (value.ValueKind != JsonValueKind.String)
        {
            AddError(ErrorCode.InvalidParameter, pointer, $"Must be a string, not a {JsonTypeNames.Of(value.ValueKind)}.");
            return null;
        }
        string text;
        try
        {
            text = value.GetString()!;
        }
        catch (InvalidOperationException)
        {
            AddError(ErrorCode.InvalidParameter, pointer, "Contains half of a surrogate pair, which is not a character.");
            return null;
        }
        var error = text switch
        {
            _ when string.IsNullOrWhiteSpace(text) => "Must not be empty.",
            _ when text.Length > maxLength =>
                string.Create(CultureInfo.InvariantCulture, $"Has {text.Length} characters; at most {maxLength} are accepted."),
            _ when text.Any(char.IsControl) => "Must not contain control characters.",
            _ when char.IsWhiteSpace(text[0]) || char.IsWhiteSpace(text[^1]) => "Must not start or end with a space.",
            _ => null,
        };
        if (error is null) return text;
        AddError(ErrorCode.InvalidParameter, pointer, error);
        return null;
    }

    private void AddError(ErrorCode code, string pointer, string detail)
    {
        if (_errors.Count < MaxErrors) _errors.Add((code, new FieldError(pointer, detail)));
    }
}
