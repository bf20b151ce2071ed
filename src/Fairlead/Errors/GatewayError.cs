using System.Text.Json.Nodes;

namespace Fairlead.Errors;

/// <summary>One error of one field, for responses that list several.</summary>
/// <param name="Pointer">JSON Pointer (RFC 6901) to the field in the request body.</param>
/// <param name="Detail">What is wrong with it and which values are accepted.</param>
public sealed record FieldError(string Pointer, string Detail);

/// <summary>
/// One refusal or failure, as a value. Everything in it may be shown to the caller. Code that creates one makes sure
/// that it contains no host, path, key, prompt or text of a provider (other than through the allow-list).
/// </summary>
public sealed record GatewayError(ErrorCode Code, string Message)
{
    /// <summary>
    /// Path of the invalid field in the dialect's own notation, such as <c>messages[0].content</c>; null when there is none.
    /// </summary>
    public string? Parameter { get; init; }

    /// <summary>What to do, if this occurrence has a more specific remedy than the catalogue.</summary>
    public string? Remedy { get; init; }

    /// <summary>When a retry may succeed; null when the server does not know.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>Whether the same request may succeed later, if this occurrence differs from the catalogue.</summary>
    public bool? Retryable { get; init; }

    /// <summary>Whether the same request may succeed later.</summary>
    public bool IsRetryable => Retryable ?? Definition.Retryable;

    /// <summary>Machine-readable facts of this occurrence (token counts, the limit's name); values must not be secret.</summary>
    public JsonObject? Details { get; init; }

    /// <summary>All errors found, where validation found several.</summary>
    public IReadOnlyList<FieldError> Faults { get; init; } = [];

    /// <summary>A finer code of the OpenAI dialect (such as <c>invalid_type</c>), shown there instead of the catalogue's name.</summary>
    public string? OpenAiCode { get; init; }

    /// <summary>Whether the content policy of a provider rejected the request.</summary>
    internal bool IsContentRejection { get; init; }

    /// <summary>Whether the total time of an attempt passed: an attempt that repeats it needs as long.</summary>
    internal bool IsTotalTimeout { get; init; }

    /// <summary>The type of the OpenAI dialect, if this occurrence differs from the catalogue.</summary>
    internal string? OpenAiType { get; init; }

    /// <summary>Methods of the address, for the Allow header of <see cref="ErrorCode.MethodNotAllowed"/>.</summary>
    public string? Allow { get; init; }

    /// <summary>The definition of this code.</summary>
    public ErrorDefinition Definition => ErrorCatalogue.Get(Code);

    public static GatewayError Invalid(string parameter, string message) =>
        new(ErrorCode.InvalidParameter, message) { Parameter = parameter };

    public static GatewayError Missing(string parameter) =>
        new(ErrorCode.MissingParameter, $"The field '{parameter}' is required.") { Parameter = parameter };

    public static GatewayError Unsupported(string parameter, string message) =>
        new(ErrorCode.UnsupportedParameter, message) { Parameter = parameter };

    // Public test suites of clients match on the wording "The model `x` does not exist".
    public static GatewayError ModelNotFound(string model) =>
        new(ErrorCode.ModelNotFound, $"The model `{model}` does not exist or this key has no access to it.") { Parameter = "model" };
}

/// <summary>
/// Carries a <see cref="GatewayError"/> out of code that parses deep structures; caught at the edge of the slice that throws it.
/// </summary>
public class GatewayErrorException(GatewayError error) : Exception(error.Message)
{
    public GatewayError Error { get; } = error;
}
