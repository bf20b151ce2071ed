using System.Buffers;
using Fairlead.Pipeline;

namespace Fairlead.Dialects;

/// <summary>
/// Requests that ask, with a field of their dialect, for an immediate response and execution in the background. Thread-safe.
/// </summary>
internal interface IBackgroundRequests
{
    /// <summary>Whether the request asks for it.</summary>
    bool IsBackground(GatewayCall call);

    /// <summary>Writes the immediate response.</summary>
    void WriteAccepted(GatewayCall call, IBufferWriter<byte> output);
}
