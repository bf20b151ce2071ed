using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Dialects;

/// <summary>
/// Builds a whole response from a provider's stream in the client's dialect. Stored generations use it: their progress is visible
/// although the client requested no stream. Thread-safe.
/// </summary>
internal interface INativeStreamCollector
{
    /// <summary>The canonical event for a provider's event; null when there is none.</summary>
    GenerationEvent? Translate(ReadOnlySpan<byte> data, int kind);

    /// <summary>A writer that collects one stream.</summary>
    CollectingStreamWriter CreateWriter(GatewayCall call);
}
