using Fairlead.Generations;
using Fairlead.Pipeline;

namespace Fairlead.Dialects;

/// <summary>
/// Streams of one dialect as messages, for a transport that sends each event as one JSON object. The events are those of
/// <see cref="IStreamResponses"/> and <see cref="IStoredStreams"/>, in the format <see cref="Streaming.EventFormat.JsonLines"/>.
/// Thread-safe.
/// </summary>
internal interface IMessageStreams
{
    /// <summary>A writer for one stream.</summary>
    DialectStreamWriter CreateMessageWriter(GatewayCall call);

    /// <summary>The view of a stored stream.</summary>
    /// <param name="call">The request, read again.</param>
    /// <param name="record">The stored generation.</param>
    GenerationView CreateMessageView(GatewayCall call, GenerationRecord record);
}
