using Fairlead.Access;
using Fairlead.Dialects;
using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.Auditing.Content;

/// <summary>
/// Collects the output that a client gets, for the audit record of its call. It is around everything that makes or changes the output, so
/// it sees what the content policies let pass, with placeholders that only the reader gets restored. A call whose content is not recorded
/// passes. Thread-safe.
/// </summary>
internal sealed class AuditContentStage : IGatewayStage
{
    public ValueTask<GatewayReply> InvokeAsync(GatewayCall call, GatewayStep next, CancellationToken cancellationToken) =>
        call.Caller.Recording is { } recording ? CollectAsync(call, recording, next, cancellationToken) : next(call, cancellationToken);

    private static async ValueTask<GatewayReply> CollectAsync(
        GatewayCall call, ContentRecording recording, GatewayStep next, CancellationToken cancellationToken)
    {
        var reply = await next(call, cancellationToken);
        if (reply is not (GatewayReply.Streaming or GatewayReply.Complete or GatewayReply.NativeBody)) return reply;
        // A stage that runs another attempt may pass here again: the last output is what counts.
        call.Output?.Dispose();
        var isHashed = recording.Level == AuditContent.Hash;
        // The hash of an item is that of the item itself.
        OutputItemWriter? items = isHashed ? null : InputContent.OfItem;
        var output = call.Output = new OutputCollector(CallContent.MaxCharactersOf(recording), call.Memory, items, isHashed);
        switch (reply)
        {
            case GatewayReply.Streaming streaming:
                return new GatewayReply.Streaming(new CollectedEvents(streaming.Events, output, call.Dialect.Native?.Output));
            case GatewayReply.Complete complete:
                output.Add(complete.Response);
                break;
            case GatewayReply.NativeBody native when call.Dialect.Native?.Output is { } reader:
                output.Add(native.Body.WrittenSpan, reader);
                break;
        }
        return reply;
    }

    /// <summary>A stream whose output is collected as it is read. One reader.</summary>
    private sealed class CollectedEvents(IEventSource source, OutputCollector output, INativeOutput? native) : IEventSource
    {
        public bool BuffersAhead => source.BuffersAhead;

        public async ValueTask<bool> ReadAsync(EventBatch batch, CancellationToken cancellationToken)
        {
            if (!await source.ReadAsync(batch, cancellationToken)) return false;
            output.Add(batch, native);
            return true;
        }

        public async ValueTask DisposeAsync()
        {
            // The memory of a call that has no end of its own, because another one continues it.
            output.Dispose();
            await source.DisposeAsync();
        }
    }
}
