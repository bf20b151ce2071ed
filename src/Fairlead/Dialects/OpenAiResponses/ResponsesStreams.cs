using Fairlead.Conversation;
using Fairlead.Pipeline;
using Fairlead.Responses;
using Fairlead.Memory;
using Fairlead.Streaming;
using Fairlead.Streaming.Verification;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>Streams of responses from a provider with OpenAI's API.</summary>
/// <param name="keeper">Stores responses between calls; null stores nothing.</param>
internal sealed class ResponsesStreams(ResponseKeeper? keeper) : NativeStreams, INativeStreamCollector
{
    public override INativeStreamCollector Collector => this;

    public override NativeStreamScanner CreateScanner(OutputMeter meter, MemoryLease? memory = null) =>
        new ResponsesStreamScanner(meter, memory);

    public override NativeReplay CreateReplay(OutputReplay replay) => new ResponsesReplay(replay);

    public override bool TryFindDelta(ReadOnlySpan<byte> data, int kind, out DeltaShape shape) =>
        ResponsesDelta.TryFind(data, kind, out shape);

    public override IEnumerable<byte[]> EventsOf(ReadOnlyMemory<byte> document, long createdAt) => ResponsesDocument.EventsOf(document);

    public override byte[]? WholeOf(ReadOnlySpan<byte> events) => ResponsesDocument.WholeOf(events);

    public GenerationEvent? Translate(ReadOnlySpan<byte> data, int kind) => ResponsesEventReader.Read(data, kind);

    public CollectingStreamWriter CreateWriter(GatewayCall call) => new ResponsesStreamWriter(call, keeper);
}
