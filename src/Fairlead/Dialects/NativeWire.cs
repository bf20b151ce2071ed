using System.Buffers;
using Fairlead.Pipeline;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects;

/// <summary>
/// How a call reaches a provider with the API of the client's dialect: the bytes are forwarded with few changes, and the response is
/// scanned in place. Thread-safe.
/// </summary>
internal abstract class NativeWire
{
    /// <summary>Whose API it is. A provider forwards the dialects of its own API only.</summary>
    public abstract ApiFamily Family { get; }

    /// <summary>Path of the endpoint below the provider's base address, such as <c>/chat/completions</c>.</summary>
    public abstract string UpstreamPath { get; }

    /// <summary>Whether the request must ask for the usage of a stream, with <c>stream_options</c>.</summary>
    public virtual bool UsesStreamOptions => false;

    /// <summary>Streams of this dialect; null when it has none.</summary>
    public virtual NativeStreams? Streams => null;

    /// <summary>Reads the text of the output; null when there is none, as for embeddings.</summary>
    public virtual INativeOutput? Output => null;

    /// <summary>
    /// Writes the body for the provider: the client's bytes with the provider's model name, without the <c>fairlead</c> member, and with
    /// the changes that <paramref name="options"/> require.
    /// </summary>
    public abstract void WriteBody(GatewayCall call, string upstreamModel, in NativeBodyOptions options, IBufferWriter<byte> output);

    /// <summary>Reads usage, finish reason and model from a provider's whole response into <paramref name="meter"/>.</summary>
    /// <param name="facts">Facts of the request.</param>
    /// <param name="body">The provider's body.</param>
    /// <param name="meter">Receives what the body reports.</param>
    /// <param name="repaired">The body to use instead, where the provider's violates the dialect; otherwise null.</param>
    /// <returns>False when the body, also after its repair, is not a valid response of this dialect.</returns>
    public abstract bool TryScan(RequestFacts facts, ReadOnlySpan<byte> body, OutputMeter meter, out byte[]? repaired);
}
