using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>The result of one pass over a Responses request, in addition to the facts of every dialect. Ranges refer to the body.</summary>
internal sealed class ResponsesFacts
{
    /// <summary>Value of <c>input</c>.</summary>
    public ByteRange Input { get; set; }

    /// <summary>
    /// Whether items of <c>input</c> contain data of this gateway (ids, encrypted reasoning), so that they must be rewritten for a
    /// provider.
    /// </summary>
    public bool InputHasGatewayData { get; set; }

    /// <summary>Members that the gateway decides instead of the provider, each with its value's range, or empty when absent.</summary>
    public ByteRange Store { get; set; }

    public ByteRange Include { get; set; }

    /// <summary>Value of <c>previous_response_id</c>, which is never sent to a provider.</summary>
    public ByteRange Previous { get; set; }

    /// <summary>Whether the finished response is stored; true unless the request has another value, or storing proved impossible.</summary>
    public bool Stores { get; set; } = true;

    /// <summary>Whether the client receives an immediate response and requests the result later: OpenAI's term for a job.</summary>
    public bool Background { get; set; }

    /// <summary>Value of <c>background</c>, which is never sent to a provider.</summary>
    public ByteRange BackgroundRange { get; set; }

    /// <summary>Value of <c>stream</c>: background work is always requested as a stream.</summary>
    public ByteRange StreamRange { get; set; }

    /// <summary>Whether items of <c>input</c> are referenced by their id.</summary>
    public bool HasReferences { get; set; }

    /// <summary>Whether parts of the input reference a file instead of containing its content.</summary>
    public bool HasFileIds { get; set; }

    /// <summary>Items by id, when references were resolved.</summary>
    public IReadOnlyDictionary<string, System.Text.Json.JsonElement>? References { get; set; }

    public string? PreviousResponseId { get; set; }

    /// <summary>
    /// Items of the earlier responses, oldest first, when <see cref="PreviousResponseId"/> was resolved; input and output.
    /// </summary>
    public IReadOnlyList<System.Text.Json.JsonElement>? History { get; set; }

    /// <summary>Whether the client requests encrypted reasoning to send back itself.</summary>
    public bool IncludesSealedReasoning { get; set; }

    /// <summary>Whether log probabilities are part of the output's text.</summary>
    public bool IncludesLogprobs { get; set; }

    public int? TopLogprobs { get; set; }
}
