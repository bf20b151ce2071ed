using Fairlead.Conversation;

namespace Fairlead.Dialects.FairleadV2;

/// <summary>How the response is delivered to the client.</summary>
internal enum V2Delivery
{
    /// <summary>In one body, when it is complete.</summary>
    Sync,

    /// <summary>As events.</summary>
    Stream,

    /// <summary>The client requests it later.</summary>
    Job,

    /// <summary>In one body if it is complete in time; otherwise the client requests it later.</summary>
    Auto,
}

/// <summary>A checked request of the gateway's own dialect.</summary>
/// <param name="Conversation">In the canonical model.</param>
/// <param name="Delivery">How the response is delivered.</param>
/// <param name="WaitSeconds">How long <see cref="V2Delivery.Auto"/> waits.</param>
/// <param name="MessagePointers">
/// Position of each message of the conversation in the request: a JSON Pointer without its first slash.
/// </param>
internal sealed record V2Request(
    ConversationRequest Conversation, V2Delivery Delivery, int WaitSeconds, IReadOnlyList<string> MessagePointers)
{
    /// <summary>
    /// Whether the generation is stored from its start, so that its result and its events can be read again: as requested, or because it
    /// continues without its client. Jobs are stored anyway.
    /// </summary>
    public bool Stores { get; init; }

    /// <summary>Whether the request itself chooses its delivery.</summary>
    public bool ChoosesDelivery { get; init; }
}
