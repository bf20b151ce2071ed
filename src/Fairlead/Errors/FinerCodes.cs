using System.Collections.Frozen;

namespace Fairlead.Errors;

/// <summary>A code that one interface sends instead of, or in addition to, a code of the catalogue.</summary>
/// <param name="Name">Its name on the wire.</param>
/// <param name="Of">Codes of the catalogue that it refines.</param>
/// <param name="Meaning">What it means, in one sentence.</param>
internal sealed record FinerCode(string Name, string Of, string Meaning);

/// <summary>
/// The finer codes of the interfaces, a closed list. <c>error.code</c> of the OpenAI interfaces holds one of them where it exists, because
/// official clients know them. Status, type, <c>doc_url</c> and retry are always those of the code that it refines.
/// </summary>
internal static class FinerCodes
{
    /// <summary>For requests on <c>/v1</c>, except on Messages.</summary>
    public static IReadOnlyList<FinerCode> Requests { get; } =
    [
        new("invalid_type", "invalid_parameter", "The field has a value of another JSON type."),
        new("invalid_value", "invalid_parameter", "The value is not one of the accepted values, or conflicts with another field."),
        new("unknown_parameter", "invalid_parameter, unsupported_parameter", "The endpoint does not know the field."),
        new("missing_required_parameter", "missing_parameter", "The field is required."),
        new("empty_string", "invalid_parameter", "The text is empty."),
        new("string_above_max_length", "invalid_parameter", "The text is too long."),
        new("empty_array", "invalid_parameter", "The list is empty."),
        new("array_above_max_length", "invalid_parameter", "The list has too many items."),
        new("object_above_max_properties", "invalid_parameter", "The object has too many properties."),
        new("integer_below_min_value", "invalid_parameter", "The integer is too small."),
        new("integer_above_max_value", "invalid_parameter", "The integer is too large."),
        new("decimal_below_min_value", "invalid_parameter", "The number is too small."),
        new("decimal_above_max_value", "invalid_parameter", "The number is too large."),
        new("invalid_function_parameters", "invalid_parameter", "The schema of a tool's parameters cannot be used."),
        new("invalid_json_schema", "invalid_parameter", "The schema of the output cannot be used."),
        new("previous_response_not_found", "invalid_parameter", "This key has no stored response with this id."),
        new("insufficient_quota", "budget_exceeded", "A budget of the organization, project or key is used up."),
        new("websocket_connection_limit_reached", "conflict", "A Responses WebSocket closes after 60 minutes. Connect again."),
    ];

    /// <summary>For <c>error.code</c> in a response object of <c>/v1/responses</c>, whose list OpenAI closed.</summary>
    public static IReadOnlyList<FinerCode> Responses { get; } =
    [
        new("server_error", "every code with a status of 500 or more", "The response could not be generated."),
        new("rate_limit_exceeded", "rate_limit_exceeded, budget_exceeded", "A limit or a budget was reached."),
        new("invalid_prompt", "every other code", "The request is invalid; the message says why."),
    ];

    /// <summary>
    /// For <c>errors</c> in a batch object, in addition to <see cref="Requests"/> and <c>model_not_found</c>, <c>model_not_allowed</c>,
    /// <c>model_retired</c>.
    /// </summary>
    public static IReadOnlyList<FinerCode> Batches { get; } =
    [
        new("empty_file", "", "The input file has no lines."),
        new("too_many_tasks", "", "The input file has too many lines."),
        new("line_too_large", "", "A line is too long."),
        new("invalid_json_line", "", "A line is not one JSON object."),
        new("invalid_method", "", "A line has a method other than POST."),
        new("invalid_url", "", "A line names a different endpoint than the batch."),
        new("mismatched_model", "", "A line names a different model than the first line."),
        new("duplicate_custom_id", "", "Two lines have the same custom_id."),
        new("invalid_file", "", "The content of the input file no longer exists."),
    ];

    private static readonly FrozenSet<string> Names = Requests.Concat(Responses).Concat(Batches).Select(code => code.Name)
        .ToFrozenSet(StringComparer.Ordinal);

    /// <summary>Whether <paramref name="name"/> is a finer code or a code of the catalogue.</summary>
    public static bool Contains(string? name) => name is not null && (Names.Contains(name) || ErrorCatalogue.Find(name) is not null);
}
