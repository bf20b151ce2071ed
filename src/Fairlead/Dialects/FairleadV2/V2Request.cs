using Fairlead.Conversation;

namespace Fairlead.Dialects.FairleadV2;

/// <summary>How the answer reaches the caller.</summary>
internal enum V2Delivery
{
    /// <summary>In one body, when it is whole.</summary>
    Sync,

    /// <summary>As events.</summary>
    Stream,

    /// <summary>Asked for later.</summary>
    Job,

    /// <summary>In one body if it is whole in time, else asked for later.</summary>
    Auto,
}

/// <summary>A checked request of the gateway's own dialect.</summary>
/// <param name="Conversation">In the inner language.</param>
/// <param name="Delivery">How the answer is delivered.</param>
/// <param name="WaitSeconds">How long <see cref="V2Delivery.Auto"/> waits.</param>
/// <param name="MessagePointers">
/// Where each message of the conversation stands in the request: a JSON Pointer without its first slash.
/// </param>
internal sealed record V2Request(
    ConversationRequest Conversation, V2Delivery Delivery, int WaitSeconds, IReadOnlyList<string> MessagePointers)
{
    /// <summary>Whether the request itself says how it is delivered.</summary>
    public bool SaysDelivery { get; init; }
}
