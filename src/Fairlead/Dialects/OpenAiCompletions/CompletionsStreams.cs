using Fairlead.Dialects.OpenAiChat;
using Fairlead.Dialects.Quirks;
using Fairlead.Memory;
using Fairlead.Streaming;
using Fairlead.Streaming.Verification;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects.OpenAiCompletions;

/// <summary>Streams of text completions from a provider with OpenAI's API.</summary>
internal sealed class CompletionsStreams : NativeStreams
{
    public override NativeStreamScanner CreateScanner(OutputMeter meter, MemoryLease? memory = null) =>
        new OpenAiStreamScanner(meter, isChat: false);

    public override NativeReplay CreateReplay(OutputReplay replay) => new ChunkReplay(replay);

    public override bool TryFindDelta(ReadOnlySpan<byte> data, int kind, out DeltaShape shape) => OpenAiDelta.TryFind(data, out shape);

    /// <summary>A whole completion has the form of its only chunk.</summary>
    public override IEnumerable<byte[]> EventsOf(ReadOnlyMemory<byte> document, long createdAt) =>
        [ChatNormaliser.RepairWhole(document.Span, isChat: false, createdAt) ?? document.ToArray()];
}
