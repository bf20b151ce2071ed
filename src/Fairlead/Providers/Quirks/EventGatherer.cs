using Fairlead.Conversation;
using Fairlead.Pipeline;
using Fairlead.Providers.Http;
using Fairlead.Streaming;

namespace Fairlead.Providers.Quirks;

/// <summary>Gathers a stream that came where a whole response was asked for.</summary>
internal static class EventGatherer
{
    public static async ValueTask<ProviderReply> GatherAsync(IEventSource events, Attempt attempt, CancellationToken cancellationToken)
    {
        var builder = new AnswerBuilder();
        using var batch = new EventBatch();
        while (await events.ReadAsync(batch, cancellationToken))
        {
            foreach (var item in batch.Items)
            {
                if (item.Event is AttemptFailed failed)
                {
                    return new ProviderReply.Failed(failed.Error, UpstreamErrors.ClassOf(failed.Error), attempt.UpstreamStatus);
                }
                if (item.Event is not { } generationEvent) continue;
                builder.Add(generationEvent);
                attempt.Meter.Observe(generationEvent);
            }
        }
        return new ProviderReply.Complete(builder.Build());
    }
}
