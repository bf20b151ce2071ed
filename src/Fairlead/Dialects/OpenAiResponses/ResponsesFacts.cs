using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>What one pass over a Responses request found beside the facts of every dialect. Ranges are of the body.</summary>
internal sealed class ResponsesFacts
{
    /// <summary>Value of <c>input</c>.</summary>
    public ByteRange Input { get; set; }

    /// <summary>Whether items of <c>input</c> carry what is ours alone (ids, sealed reasoning), so that they must be written anew for a provider.</summary>
    public bool InputHasOwnMarks { get; set; }

    /// <summary>Members that are decided here and not by the provider, each with its value's range, or empty when absent.</summary>
    public ByteRange Store { get; set; }

    public ByteRange Include { get; set; }

    /// <summary>Value of <c>previous_response_id</c>, of which no provider hears.</summary>
    public ByteRange Previous { get; set; }

    /// <summary>Whether the finished response is kept; true unless the caller says otherwise, or it turned out that it cannot be.</summary>
    public bool Stores { get; set; } = true;

    /// <summary>Whether the caller is answered at once and asks again: OpenAI's word for a job.</summary>
    public bool Background { get; set; }

    /// <summary>Value of <c>background</c>, of which no provider hears.</summary>
    public ByteRange BackgroundRange { get; set; }

    /// <summary>Value of <c>stream</c>: what nobody waits for is asked for as a stream, whatever the caller said.</summary>
    public ByteRange StreamRange { get; set; }

    /// <summary>Whether items of <c>input</c> are named by their id instead of sent.</summary>
    public bool HasReferences { get; set; }

    /// <summary>Whether parts of the input name a file instead of holding its content.</summary>
    public bool HasFileIds { get; set; }

    /// <summary>Items by id, when references were resolved.</summary>
    public IReadOnlyDictionary<string, System.Text.Json.JsonElement>? References { get; set; }

    public string? PreviousResponseId { get; set; }

    /// <summary>Items of the responses before, oldest first, when <see cref="PreviousResponseId"/> was resolved; input and output.</summary>
    public IReadOnlyList<System.Text.Json.JsonElement>? History { get; set; }

    /// <summary>Whether the caller wants sealed reasoning to send back itself.</summary>
    public bool IncludesSealedReasoning { get; set; }

    /// <summary>Whether log probabilities are part of the output's text.</summary>
    public bool IncludesLogprobs { get; set; }

    public int? TopLogprobs { get; set; }
}
