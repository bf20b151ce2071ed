using Fairlead.Conversation;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Fairlead.TokenCounting;

namespace Fairlead.Providers.Http;

/// <summary>A stream of a dialect other than the client's, translated to canonical events one by one.</summary>
/// <param name="expectedChoices">Number of choices that must have ended before the end of the bytes counts as an end.</param>
internal abstract class TranslatedEventSource(UpstreamExchange exchange, int expectedChoices) : UpstreamEventSource(exchange)
{
    private UInt128 _finishedChoices;

    protected override bool IsFinished => FinishedChoices >= expectedChoices;

    protected int FinishedChoices => (int)UInt128.PopCount(_finishedChoices);

    /// <summary>
    /// Adds the translation of one provider event. Malformed ones are counted in the meter's <c>SkippedEvents</c> and left out; the
    /// provider's error event goes to <see cref="UpstreamEventSource.FailWith"/>, its end mark to <see cref="UpstreamEventSource.End"/>.
    /// </summary>
    /// <param name="name">Empty where the provider's events have no names.</param>
    /// <param name="data">Never empty.</param>
    protected abstract void Translate(ReadOnlySpan<byte> name, ReadOnlySpan<byte> data, EventBatch batch);

    /// <summary>The provider's end mark came; if a choice has no finish, the response may be incomplete.</summary>
    protected void EndOrFail(EventBatch batch)
    {
        if (MayEnd) End();
        else Fail(batch, UpstreamClient.NoReasonError);
    }

    /// <summary>A whole response although events were requested.</summary>
    protected bool AddAnswer(Conversation.ModelResponse? answer, OutputMeter read, EventBatch batch)
    {
        Exchange.Attempt.Meter.FailedReason ??= read.FailedReason;
        if (answer is null) return false;
        Exchange.Attempt.Meter.UpstreamModel = read.UpstreamModel;
        Exchange.Attempt.Meter.ReportTier(read.ServiceTier);
        Quirks.ResponseEvents.Add(Exchange.Tools?.Restore(answer) ?? answer, read.Report, batch);
        return true;
    }

    protected sealed override void OnEvent(ReadOnlySpan<byte> name, ReadOnlySpan<byte> data, EventBatch batch)
    {
        if (data.IsEmpty) return;
        var before = batch.Items.Count;
        Translate(name, data, batch);
        // An event without content that has an error, whatever its name.
        if (batch.Items.Count == before && UpstreamErrorBody.Find(data) is { } error)
        {
            FailWith(batch, error);
            return;
        }
        Exchange.Tools?.Restore(batch, before);
        for (var i = before; i < batch.Items.Count; i++)
        {
            if (batch.Items[i].Event is ChoiceFinished finished) _finishedChoices |= UInt128.One << Math.Min(finished.Choice, 127);
        }
    }
}
