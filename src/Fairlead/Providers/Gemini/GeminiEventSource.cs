using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Providers.Http;
using Fairlead.Streaming;

namespace Fairlead.Providers.Gemini;

/// <summary>
/// The events of <c>streamGenerateContent?alt=sse</c>: unnamed and without an end mark. The stream ends when every choice has finished.
/// </summary>
internal sealed class GeminiEventSource(UpstreamExchange exchange, GeminiResponseReader reader, int choiceCount)
    : TranslatedEventSource(exchange, choiceCount)
{
    private readonly List<GenerationEvent> _events = [];

    // The API may return fewer candidates than requested; those that started must end.
    protected override bool IsFinished => reader.AnyFinished && !reader.HasOpenChoice;

    // A whole response has the form of an event.
    protected override bool OnDocument(ReadOnlyMemory<byte> document, EventBatch batch)
    {
        OnEvent(default, document.Span, batch);
        if (HasEnded) return IsFinished;
        _events.Clear();
        reader.EndWhole(_events);
        foreach (var generationEvent in _events) batch.Add(generationEvent);
        return IsFinished;
    }

    protected override void Translate(ReadOnlySpan<byte> name, ReadOnlySpan<byte> data, EventBatch batch)
    {
        _events.Clear();
        if (!reader.TryRead(data, _events, out var failure))
        {
            if (UpstreamErrorBody.Find(data) is { } error) FailWith(batch, error);
            else Exchange.Attempt.Meter.SkippedEvents++;
            return;
        }
        foreach (var generationEvent in _events) batch.Add(generationEvent);
        if (failure is not null) Fail(batch, failure);
    }
}
