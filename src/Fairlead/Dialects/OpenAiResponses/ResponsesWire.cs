using System.Buffers;
using Fairlead.Dialects.Quirks;
using Fairlead.Pipeline;
using Fairlead.Responses;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>Responses at a provider with OpenAI's API. The provider reports the usage of every stream.</summary>
/// <param name="keeper">Stores responses between calls; null stores nothing.</param>
internal sealed class ResponsesWire(ResponseKeeper? keeper) : NativeWire
{
    /// <summary>Path of the endpoint below the provider's base address.</summary>
    public const string Path = "/responses";

    public override ApiFamily Family => ApiFamily.OpenAi;

    public override string UpstreamPath => Path;

    public override NativeStreams Streams { get; } = new ResponsesStreams(keeper);

    public override INativeOutput Output => ResponsesOutput.Instance;

    public override void WriteBody(GatewayCall call, string upstreamModel, in NativeBodyOptions options, IBufferWriter<byte> output) =>
        ResponsesUpstreamBody.Write(call, upstreamModel, options, output);

    public override bool TryScan(RequestFacts facts, ReadOnlySpan<byte> body, OutputMeter meter, out byte[]? repaired)
    {
        repaired = ResponsesNormaliser.RepairWhole(body, meter);
        return ResponsesResponseScanner.Scan(repaired ?? body, meter);
    }
}
