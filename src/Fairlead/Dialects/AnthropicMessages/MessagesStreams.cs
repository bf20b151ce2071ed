using Fairlead.Memory;
using Fairlead.Streaming;
using Fairlead.Streaming.Verification;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>Streams of messages from a provider with Anthropic's API.</summary>
internal sealed class MessagesStreams : NativeStreams
{
    public override NativeStreamScanner CreateScanner(OutputMeter meter, MemoryLease? memory = null) => new MessagesStreamScanner(meter);

    public override bool ContinuesTranslated => true;

    public override NativeReplay CreateReplay(OutputReplay replay) => new MessagesReplay(replay);

    public override bool TryFindDelta(ReadOnlySpan<byte> data, int kind, out DeltaShape shape) =>
        MessagesDelta.TryFind(data, kind, out shape);
}
