using System.Globalization;
using Fairlead.Errors;

namespace Fairlead.Dialects;

/// <summary>
/// The errors that a reader finds in a request, with the codes that OpenAI's clients know. Thrown deep inside a body and caught at the
/// reader's entry, so that the path without errors stays free of checks.
/// </summary>
internal static class RequestErrors
{
    /// <summary>Longest name from a client that a message repeats, in characters.</summary>
    private const int MaxShownLength = 64;

    /// <summary>A member's name for a message, shortened so that the error stays short.</summary>
    public static string Shown(string name) =>
        name.Length <= MaxShownLength
            ? name
            : name[..(char.IsHighSurrogate(name[MaxShownLength - 1]) ? MaxShownLength - 1 : MaxShownLength)] + "…";

    public static GatewayErrorException Type(FieldPath path, string expected, string got) =>
        Invalid(path, $"Invalid type for '{path}': expected {expected}, but got {got}.", "invalid_type");

    public static GatewayErrorException Missing(FieldPath path) =>
        new(GatewayError.Missing(path.ToString()) with { OpenAiCode = "missing_required_parameter" });

    public static GatewayErrorException Value(FieldPath path, string message) =>
        Invalid(path, $"Invalid value for '{path}': {message}", "invalid_value");

    public static GatewayErrorException OneOf(FieldPath path, IEnumerable<string> words) =>
        Value(path, $"accepted are {string.Join(", ", words.Select(word => $"'{word}'"))}.");

    public static GatewayErrorException Below(FieldPath path, long minimum) =>
        Invalid(path, Invariant($"Invalid '{path}': expected an integer of at least {minimum}."), "integer_below_min_value");

    public static GatewayErrorException Above(FieldPath path, long maximum) =>
        Invalid(path, Invariant($"Invalid '{path}': expected an integer of at most {maximum}."), "integer_above_max_value");

    public static GatewayErrorException Below(FieldPath path, double minimum) =>
        Invalid(path, Invariant($"Invalid '{path}': expected a number of at least {minimum}."), "decimal_below_min_value");

    public static GatewayErrorException Above(FieldPath path, double maximum) =>
        Invalid(path, Invariant($"Invalid '{path}': expected a number of at most {maximum}."), "decimal_above_max_value");

    public static GatewayErrorException TooLong(FieldPath path, int maximum) =>
        Invalid(path, Invariant($"Invalid '{path}': expected at most {maximum} characters."), "string_above_max_length");

    public static GatewayErrorException EmptyString(FieldPath path) =>
        Invalid(path, $"Invalid '{path}': expected a non-empty string.", "empty_string");

    public static GatewayErrorException EmptyArray(FieldPath path) =>
        Invalid(path, $"Invalid '{path}': expected an array with at least one item, but got an empty array.", "empty_array");

    public static GatewayErrorException TooMany(FieldPath path, int maximum) =>
        Invalid(path, Invariant($"Invalid '{path}': expected at most {maximum} items."), "array_above_max_length");

    public static GatewayErrorException Duplicate(FieldPath path) =>
        Invalid(path, $"The field '{path}' occurs more than once in the body; send it once.", "invalid_value");

    public static GatewayErrorException Invalid(FieldPath path, string message, string code) =>
        new(GatewayError.Invalid(path.ToString(), message) with { OpenAiCode = code });

    public static GatewayErrorException TooLarge(FieldPath path, string message) =>
        new(new GatewayError(ErrorCode.PayloadTooLarge, message) { Parameter = path.ToString() });

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
