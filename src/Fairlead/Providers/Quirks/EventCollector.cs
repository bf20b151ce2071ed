using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Pipeline;
using Fairlead.Providers.Http;
using Fairlead.Streaming;

namespace Fairlead.Providers.Quirks;

/// <summary>Combines a stream that came although a whole response was requested.</summary>
internal static class EventCollector
{
    public static async ValueTask<GatewayReply> CollectAsync(IEventSource events, Attempt attempt, CancellationToken cancellationToken)
    {
        var builder = new OutputBuilder();
        using var batch = new EventBatch();
        while (await events.ReadAsync(batch, cancellationToken))
        {
            foreach (var item in batch.Items)
            {
                if (item.Event is AttemptFailed failed)
                {
                    return new GatewayReply.AttemptFailed(failed.Error, UpstreamErrors.ClassOf(failed.Error), attempt.UpstreamStatus);
                }
                if (item.Event is not { } generationEvent) continue;
                builder.Add(generationEvent);
                attempt.Meter.Observe(generationEvent);
            }
        }
        return new GatewayReply.Complete(builder.Build());
    }
}
