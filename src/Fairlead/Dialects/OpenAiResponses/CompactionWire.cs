using System.Buffers;
using Fairlead.Pipeline;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>Compaction at a provider with OpenAI's API. It has no streams.</summary>
internal sealed class CompactionWire : NativeWire
{
    /// <summary>Path of the endpoint below the provider's base address.</summary>
    public const string Path = "/responses/compact";

    public override ApiFamily Family => ApiFamily.OpenAi;

    public override string UpstreamPath => Path;

    public override void WriteBody(GatewayCall call, string upstreamModel, in NativeBodyOptions options, IBufferWriter<byte> output) =>
        ResponsesUpstreamBody.Write(call, upstreamModel, options, output, isCompaction: true);

    public override bool TryScan(RequestFacts facts, ReadOnlySpan<byte> body, OutputMeter meter, out byte[]? repaired)
    {
        repaired = null;
        return ResponsesResponseScanner.ScanCompaction(body, meter);
    }
}
