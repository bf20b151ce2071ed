using System.Buffers;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Pipeline;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects.OpenAiCompletions;

/// <summary>Text completions at a provider with OpenAI's API.</summary>
internal sealed class CompletionsWire : NativeWire
{
    /// <summary>Path of the endpoint below the provider's base address.</summary>
    public const string Path = "/completions";

    public override ApiFamily Family => ApiFamily.OpenAi;

    public override string UpstreamPath => Path;

    public override bool UsesStreamOptions => true;

    public override NativeStreams Streams { get; } = new CompletionsStreams();

    public override INativeOutput Output => ChatOutput.Instance;

    public override void WriteBody(GatewayCall call, string upstreamModel, in NativeBodyOptions options, IBufferWriter<byte> output) =>
        UpstreamBody.Write(call, upstreamModel, options, output, isChat: false);

    public override bool TryScan(RequestFacts facts, ReadOnlySpan<byte> body, OutputMeter meter, out byte[]? repaired) =>
        ChatWire.TryScan(body, isChat: false, meter, out repaired);
}
