using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Coalescing;

/// <summary>What a call gets and what it pays if its inputs were shared. Thread-safe.</summary>
internal sealed class EmbeddingPayments(AttemptCharge charge, EmbeddingTakeovers takeovers)
{
    /// <summary>
    /// The response of a call that has all vectors. Its usage is that of all its inputs; its cost is that of its attempts, so what others
    /// paid for costs nothing.
    /// </summary>
    public GatewayReply Respond(EmbeddingWork work)
    {
        var call = work.Call;
        var vectors = new EmbeddingVector[work.Keys.Count];
        for (var i = 0; i < vectors.Length; i++) vectors[i] = work.Vectors[work.Keys[i]];
        foreach (var attempt in call.Attempts) charge.Fix(call, attempt);
        var usage = EmbeddingUsage.Sum(work.Vectors.Values.Select(static vector => vector.Usage));

        // The form and the deployment of its own part, if there is one.
        var own = call.Answering;
        var envelope = vectors[0].Envelope;
        var source = own ?? vectors[0].Source;
        var answering = new Attempt(source.Id, source.Number, source.Deployment)
        {
            StartedAt = own?.StartedAt ?? call.Timings.Now(),
            ConnectTicks = own?.ConnectTicks ?? 0,
            Usage = usage,
        };
        answering.Meter.UpstreamModel = source.Meter.UpstreamModel;
        answering.Meter.AddOutput(0);
        answering.Meter.Finish(FinishReason.Stop, 0);
        call.Answering = answering;
        call.IsCoalesced = work.HasShared;
        return new GatewayReply.NativeBody(envelope.With(vectors, usage.InputTokens, call.Memory));
    }

    /// <summary>Sets what a call pays that has left, and waits until those have a record that pay for it from now on.</summary>
    public async ValueTask SettleAsync(EmbeddingWork work, EmbeddingDeparture departure)
    {
        if (departure is { Own: { } own, OwnIsWhole: false })
            own.Share = departure.OwnBytes > 0 ? EmbeddingWork.Guess(departure.OwnBytes) : default(Usage);
        try
        {
            await takeovers.SettleAsync(work);
            foreach (var recorded in departure.Recorded) await recorded;
        }
        finally
        {
            takeovers.Recorded(work);
        }
    }
}
