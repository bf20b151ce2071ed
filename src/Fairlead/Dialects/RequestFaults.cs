using System.Globalization;
using Fairlead.Errors;

namespace Fairlead.Dialects;

/// <summary>
/// The faults a reader finds in a request, with the codes that OpenAI's clients know. Thrown out of the depth of a body and caught at the
/// reader's door, so that the path without faults stays free of checks.
/// </summary>
internal static class RequestFaults
{
    /// <summary>Longest name of a client's choosing that a message repeats, in characters.</summary>
    private const int LongestShown = 64;

    /// <summary>A member's name as a message may repeat it: however long the client made it, the answer stays short.</summary>
    public static string Shown(string name) =>
        name.Length <= LongestShown ? name : name[..(char.IsHighSurrogate(name[LongestShown - 1]) ? LongestShown - 1 : LongestShown)] + "…";

    public static GatewayErrorException Type(FieldPath path, string expected, string got) =>
        Invalid(path, $"Invalid type for '{path}': expected {expected}, but got {got}.", "invalid_type");

    public static GatewayErrorException Missing(FieldPath path) =>
        new(GatewayError.Missing(path.ToString()) with { OpenAiCode = "missing_required_parameter" });

    public static GatewayErrorException Value(FieldPath path, string message) => Invalid(path, $"Invalid value for '{path}': {message}", "invalid_value");

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
        Invalid(path, $"Invalid '{path}': expected a string that is not empty.", "empty_string");

    public static GatewayErrorException EmptyArray(FieldPath path) =>
        Invalid(path, $"Invalid '{path}': expected an array with at least one item, but got an empty array.", "empty_array");

    public static GatewayErrorException TooMany(FieldPath path, int maximum) =>
        Invalid(path, Invariant($"Invalid '{path}': expected at most {maximum} items."), "array_above_max_length");

    public static GatewayErrorException Duplicate(FieldPath path) =>
        Invalid(path, $"The field '{path}' stands in the body more than once; send it once.", "invalid_value");

    public static GatewayErrorException Invalid(FieldPath path, string message, string code) =>
        new(GatewayError.Invalid(path.ToString(), message) with { OpenAiCode = code });

    public static GatewayErrorException TooLarge(FieldPath path, string message) =>
        new(new GatewayError(ErrorCode.PayloadTooLarge, message) { Parameter = path.ToString() });

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
