using System.Collections.Frozen;

namespace Fairlead.Errors;

/// <summary>A code that one interface sends in place of, or beside, a code of the list.</summary>
/// <param name="Name">Its name on the wire.</param>
/// <param name="Of">Codes of the list that it stands for.</param>
/// <param name="Meaning">What it says, one sentence.</param>
internal sealed record FinerCode(string Name, string Of, string Meaning);

/// <summary>
/// The finer codes of the interfaces, closed like the list of errors: <c>error.code</c> of the OpenAI interfaces holds one of them where there is one, since official clients know
/// them. Status, type, <c>doc_url</c> and retry are always those of the code it stands for.
/// </summary>
internal static class FinerCodes
{
    /// <summary>Of requests on <c>/v1</c>, except on Messages.</summary>
    public static IReadOnlyList<FinerCode> Requests { get; } =
    [
        new("invalid_type", "invalid_parameter", "The field has a value of another JSON type."),
        new("invalid_value", "invalid_parameter", "The value is not among those accepted, or contradicts another field."),
        new("unknown_parameter", "invalid_parameter, unsupported_parameter", "The endpoint does not know the field."),
        new("missing_required_parameter", "missing_parameter", "The field is required."),
        new("empty_string", "invalid_parameter", "The text is empty."),
        new("string_above_max_length", "invalid_parameter", "The text is too long."),
        new("empty_array", "invalid_parameter", "The list is empty."),
        new("array_above_max_length", "invalid_parameter", "The list has too many items."),
        new("object_above_max_properties", "invalid_parameter", "The object has too many members."),
        new("integer_below_min_value", "invalid_parameter", "The whole number is too small."),
        new("integer_above_max_value", "invalid_parameter", "The whole number is too large."),
        new("decimal_below_min_value", "invalid_parameter", "The number is too small."),
        new("decimal_above_max_value", "invalid_parameter", "The number is too large."),
        new("invalid_function_parameters", "invalid_parameter", "The schema of a tool's parameters is not one that can be used."),
        new("invalid_json_schema", "invalid_parameter", "The schema of the output is not one that can be used."),
        new("previous_response_not_found", "invalid_parameter", "There is no stored response of this id for this key."),
        new("websocket_connection_limit_reached", "conflict", "A WebSocket of Responses is open for 60 minutes. Connect again."),
    ];

    /// <summary>Of <c>error.code</c> in a response object of <c>/v1/responses</c>, whose list is closed by OpenAI.</summary>
    public static IReadOnlyList<FinerCode> Responses { get; } =
    [
        new("server_error", "every code with a status of 500 or more", "The response could not be made."),
        new("rate_limit_exceeded", "rate_limit_exceeded", "A rate limit was reached."),
        new("invalid_prompt", "every other code", "The request is at fault; the message says how."),
    ];

    /// <summary>Of <c>errors</c> in a batch object; besides them, those of <see cref="Requests"/> and <c>model_not_found</c>, <c>model_not_allowed</c>, <c>model_retired</c>.</summary>
    public static IReadOnlyList<FinerCode> Batches { get; } =
    [
        new("empty_file", "", "The input file has no lines."),
        new("too_many_tasks", "", "The input file has too many lines."),
        new("line_too_large", "", "A line is too long."),
        new("invalid_json_line", "", "A line is not one JSON object."),
        new("invalid_method", "", "A line has another method than POST."),
        new("invalid_url", "", "A line is for another endpoint than the batch."),
        new("mismatched_model", "", "A line names another model than the first."),
        new("duplicate_custom_id", "", "Two lines have the same custom_id."),
        new("invalid_file", "", "The content of the input file is gone."),
    ];

    private static readonly FrozenSet<string> Names = Requests.Concat(Responses).Concat(Batches).Select(code => code.Name).ToFrozenSet(StringComparer.Ordinal);

    /// <summary>Whether <paramref name="name"/> is a finer code or a code of the list.</summary>
    public static bool Contains(string? name) => name is not null && (Names.Contains(name) || ErrorCatalogue.Find(name) is not null);
}
