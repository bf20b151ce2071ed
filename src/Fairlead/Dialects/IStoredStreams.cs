using Fairlead.Generations;
using Fairlead.Pipeline;

namespace Fairlead.Dialects;

/// <summary>Streams of one dialect that are stored and can be read again, also after the process stopped. Thread-safe.</summary>
internal interface IStoredStreams
{
    /// <summary>
    /// Whether a stored stream can start again after a failure: the dialect has an event that declares everything before it void.
    /// Otherwise a generation that was partly delivered is not started again.
    /// </summary>
    bool CanRestart => true;

    /// <summary>Whether the request asks for such a stream. Its generation is then stored from the start.</summary>
    bool IsStored(GatewayCall call);

    /// <summary>Whether a stored stream ends when its first client leaves.</summary>
    bool EndsWithClient(GatewayCall call) => false;

    /// <summary>The dialect's view of a stored stream.</summary>
    /// <param name="call">The request, read again.</param>
    /// <param name="record">The stored generation.</param>
    GenerationView CreateView(GatewayCall call, GenerationRecord record);
}
