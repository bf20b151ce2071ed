using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Streaming;

namespace Fairlead.Providers.Http;

/// <summary>A stream in another dialect than the caller's, translated into the inner language event by event.</summary>
/// <param name="expectedChoices">Choices that must have ended before the end of the bytes counts as an end.</param>
internal abstract class TranslatedEventSource(UpstreamExchange exchange, int expectedChoices) : UpstreamEventSource(exchange)
{
    private int _finishedChoices;

    protected override bool IsFinished => _finishedChoices >= expectedChoices;

    /// <summary>
    /// Adds what one event of the provider means. Malformed ones are counted in the meter's <c>SkippedEvents</c> and left out; the provider's error event
    /// goes to <see cref="UpstreamEventSource.FailWith"/>, its end mark to <see cref="UpstreamEventSource.End"/>.
    /// </summary>
    /// <param name="name">Empty where the provider's events have no names.</param>
    /// <param name="data">Never empty.</param>
    protected abstract void Translate(ReadOnlySpan<byte> name, ReadOnlySpan<byte> data, EventBatch batch);

    /// <summary>The provider's end mark came; without the finish of every choice it is a cut.</summary>
    protected void EndOrFail(EventBatch batch)
    {
        if (IsFinished) End();
        else Fail(batch, UpstreamClient.BrokenError);
    }

    protected sealed override void OnEvent(ReadOnlySpan<byte> name, ReadOnlySpan<byte> data, EventBatch batch)
    {
        if (data.IsEmpty) return;
        var before = batch.Items.Count;
        Translate(name, data, batch);
        // An event without content that holds an error, whatever the provider calls it.
        if (batch.Items.Count == before && UpstreamErrorBody.Find(data) is { } error)
        {
            FailWith(batch, error);
            return;
        }
        Exchange.Tools?.Restore(batch, before);
        for (var i = before; i < batch.Items.Count; i++)
        {
            if (batch.Items[i].Event is ChoiceFinished) _finishedChoices++;
        }
    }
}
