using Fairlead.Conversation;
using Fairlead.Dialects.Quirks;
using Fairlead.Pipeline;
using Fairlead.Providers.Http;
using Fairlead.Streaming;
using Fairlead.TokenCounting;

namespace Fairlead.Providers.Anthropic;

/// <summary>A Messages stream for a client of another dialect.</summary>
internal sealed class AnthropicEventSource(GatewayCall call, UpstreamExchange exchange)
    : TranslatedEventSource(exchange, expectedChoices: 1)
{
    private readonly AnthropicEventReader _reader = new(call, exchange.Attempt.Meter);
    private readonly MessagesStreamNormaliser _normaliser = new(exchange.Attempt.Meter);
    private readonly List<GenerationEvent> _events = [];

    protected override bool OnDocument(ReadOnlyMemory<byte> document, EventBatch batch)
    {
        var read = new OutputMeter();
        return AddAnswer(AnthropicResponseReader.Read(document, call, read), read, batch);
    }

    protected override void Translate(ReadOnlySpan<byte> name, ReadOnlySpan<byte> data, EventBatch batch)
    {
        if (_normaliser.Normalise(name, data) is not { } events)
        {
            TranslateOne(name, data, batch);
            return;
        }
        foreach (var (madeName, made) in events)
        {
            if (!HasEnded) TranslateOne(madeName, made, batch);
        }
    }

    private void TranslateOne(ReadOnlySpan<byte> name, ReadOnlySpan<byte> data, EventBatch batch)
    {
        _events.Clear();
        if (!_reader.TryRead(name, data, _events, out var error)) Exchange.Attempt.Meter.SkippedEvents++;
        foreach (var generationEvent in _events) batch.Add(generationEvent);
        if (error is not null)
        {
            FailWith(batch, UpstreamErrorBody.Find(data) ?? new UpstreamErrorBody(error.Type, null, null, error.Message));
        }
        else if (Exchange.Attempt.Meter.FailedReason is not null) FailReason(batch);
        else if (_reader.IsStopped) EndOrFail(batch);
    }
}
