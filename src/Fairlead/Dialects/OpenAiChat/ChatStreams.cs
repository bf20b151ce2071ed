using Fairlead.Memory;
using Fairlead.Streaming;
using Fairlead.Streaming.Verification;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>Streams of chat completions from a provider with OpenAI's API.</summary>
internal sealed class ChatStreams : NativeStreams
{
    public override NativeStreamScanner CreateScanner(OutputMeter meter, MemoryLease? memory = null) =>
        new OpenAiStreamScanner(meter, isChat: true);

    public override bool ContinuesTranslated => true;

    public override NativeReplay CreateReplay(OutputReplay replay) => new ChunkReplay(replay);

    public override bool TryFindDelta(ReadOnlySpan<byte> data, int kind, out DeltaShape shape) => OpenAiDelta.TryFind(data, out shape);
}
