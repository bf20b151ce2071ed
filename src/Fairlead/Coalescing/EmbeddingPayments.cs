using Fairlead.Auditing.Spooling;
using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Coalescing;

/// <summary>What a call gets and what it pays if its inputs were shared. Thread-safe.</summary>
internal sealed class EmbeddingPayments(AttemptCharge charge, ISpool spool)
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

    /// <summary>Adds what a call pays beside its own attempts, or no longer pays.</summary>
    /// <param name="work">The work of a call that has left.</param>
    /// <param name="own">What it pays for its own attempt that goes on without it.</param>
    /// <param name="followed">What it pays for requests that went on for it alone.</param>
    public async ValueTask SettleAsync(EmbeddingWork work, EmbeddingDebt? own, EmbeddingDebt? followed)
    {
        if (own is { IsWhole: false }) own.Source.Share = own.Bytes > 0 ? EmbeddingWork.Guess(own.Bytes) : default(Usage);
        foreach (var bought in work.Bought.GroupBy(static vector => vector.Source))
            await AddAsync(work.Call, bought.Key, EmbeddingUsage.Sum(bought.Select(static vector => vector.Usage)), "complete");
        if (followed is not null) await AddAsync(work.Call, followed.Source, EmbeddingWork.Guess(followed.Bytes), outcome: null);
    }

    private async ValueTask AddAsync(GatewayCall call, Attempt source, Usage usage, string? outcome)
    {
        var number = call.Attempts.Count + 1;
        var attempt = new Attempt(Attempt.IdOf(call, number), number, source.Deployment)
        {
            StartedAt = source.StartedAt,
            Duration = call.Time.GetElapsedTime(source.StartedAt),
            Outcome = outcome,
            Sent = true,
            UpstreamStatus = source.UpstreamStatus,
            Share = usage,
        };
        attempt.Meter.UpstreamModel = source.Meter.UpstreamModel;
        call.Attempts.Add(attempt);
        charge.Fix(call, attempt);
        try
        {
            await spool.AttemptStartedAsync(call, attempt);
        }
        catch (SpoolUnavailableException)
        {
            // It has been computed. The record of the end has it too.
        }
    }
}
