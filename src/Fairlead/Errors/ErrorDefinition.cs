namespace Fairlead.Errors;

/// <summary>Who can fix an error. Decides its group in the documentation and its severity in logs.</summary>
public enum ErrorGroup
{
    /// <summary>The request itself is wrong; the same bytes will be refused again.</summary>
    Request,

    /// <summary>The key is missing, wrong or not allowed to do this.</summary>
    Access,

    /// <summary>A limit, a queue or a deadline was reached; a later request may succeed.</summary>
    Limits,

    /// <summary>The model's provider failed or refused.</summary>
    Provider,

    /// <summary>Fairlead itself failed or is shutting down.</summary>
    System,
}

/// <summary>What is the same for every occurrence of a code.</summary>
/// <param name="Code">The code.</param>
/// <param name="Name">Its name on the wire, snake_case.</param>
/// <param name="Group">Who can fix it.</param>
/// <param name="Status">HTTP status in v1 and v2.</param>
/// <param name="AnthropicStatus">HTTP status in the Anthropic dialect.</param>
/// <param name="OpenAiType">The <c>type</c> of OpenAI's error envelope.</param>
/// <param name="AnthropicType">The <c>error.type</c> of Anthropic's envelope.</param>
/// <param name="Retryable">Whether the unchanged request may succeed later.</param>
/// <param name="Title">Short and readable, the same for every occurrence (RFC 9457 <c>title</c>).</param>
/// <param name="Remedy">What the caller should do, unless the occurrence has a more specific remedy.</param>
public sealed record ErrorDefinition(
    ErrorCode Code,
    string Name,
    ErrorGroup Group,
    int Status,
    int AnthropicStatus,
    string OpenAiType,
    string AnthropicType,
    bool Retryable,
    string Title,
    string Remedy)
{
    /// <summary>Path of the explanation in the documentation that this server serves; <see cref="PublicAddress"/> adds the host.</summary>
    public string DocPath => $"/docs/errors#{Name}";
}
