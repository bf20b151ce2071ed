using System.Buffers;
using Fairlead.Pipeline;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>Messages at a provider with Anthropic's API.</summary>
internal sealed class MessagesWire : NativeWire
{
    /// <summary>Path of the endpoint below the provider's base address.</summary>
    public const string Path = "/messages";

    public override ApiFamily Family => ApiFamily.Anthropic;

    public override string UpstreamPath => Path;

    public override NativeStreams Streams { get; } = new MessagesStreams();

    public override INativeOutput Output => MessagesOutput.Instance;

    public override void WriteBody(GatewayCall call, string upstreamModel, in NativeBodyOptions options, IBufferWriter<byte> output) =>
        MessagesUpstreamBody.Write(call, upstreamModel, output);

    public override bool TryScan(RequestFacts facts, ReadOnlySpan<byte> body, OutputMeter meter, out byte[]? repaired) =>
        MessagesResponseScanner.Scan(body, meter, out repaired);
}
