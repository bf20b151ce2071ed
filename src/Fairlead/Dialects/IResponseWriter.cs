using System.Buffers;
using Fairlead.Pipeline;

namespace Fairlead.Dialects;

/// <summary>Writes whole response bodies of one dialect. Thread-safe.</summary>
internal interface IResponseWriter
{
    /// <summary>
    /// Called before <see cref="Write"/>, after <see cref="GatewayCall.Ending"/> is set. Stores what the client may ask for later.
    /// </summary>
    ValueTask PrepareAsync(GatewayCall call, GatewayReply reply) => default;

    /// <summary>
    /// Writes the body. <see cref="GatewayCall.Ending"/> is set. For a caller without extensions, the native shape gets no additional
    /// member.
    /// </summary>
    void Write(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output);
}
