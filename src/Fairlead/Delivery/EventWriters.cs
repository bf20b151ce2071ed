using Fairlead.Dialects;
using Fairlead.Generations;
using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.Delivery;

/// <summary>Chooses the writer of a dialect for the format that the output of a response takes.</summary>
internal static class EventWriters
{
    /// <summary>The writer of a live stream. A dialect without streams never reaches a delivery that streams.</summary>
    public static DialectStreamWriter Of(GatewayCall call, EventFormat format) => format == EventFormat.JsonLines
        ? call.Dialect.Messages!.CreateMessageWriter(call)
        : call.Dialect.Streams!.CreateWriter(call);

    /// <summary>The view of a stored stream.</summary>
    public static GenerationView ViewOf(GatewayCall call, GenerationRecord record, IStoredStreams stored, EventFormat format) =>
        format == EventFormat.JsonLines
            ? call.Dialect.Messages!.CreateMessageView(call, record)
            : stored.CreateView(call, record);
}
