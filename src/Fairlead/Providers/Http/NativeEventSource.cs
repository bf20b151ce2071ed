using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Pipeline;
using Fairlead.Providers.Quirks;
using Fairlead.Streaming;
using Fairlead.TokenCounting;

namespace Fairlead.Providers.Http;

/// <summary>
/// A stream in the client's own dialect: events are forwarded unchanged, and scanned for what the stages need. Updates the attempt's meter.
/// </summary>
internal sealed class NativeEventSource : UpstreamEventSource
{
    private readonly Provider _provider;
    private readonly GatewayCall _call;
    private readonly NativeStreams _streams;
    private readonly int _expectedChoices;
    private readonly NativeStreamScanner _scanner;

    /// <param name="exchange">The exchange with the provider.</param>
    /// <param name="provider">Reads a whole response that the dialect cannot convert to events.</param>
    /// <param name="call">The call.</param>
    /// <param name="streams">Streams of the call's dialect.</param>
    /// <param name="expectedChoices">Number of choices that must have ended before the end of the bytes counts as an end.</param>
    public NativeEventSource(UpstreamExchange exchange, Provider provider, GatewayCall call, NativeStreams streams, int expectedChoices)
        : base(exchange)
    {
        (_provider, _call, _streams, _expectedChoices) = (provider, call, streams, expectedChoices);
        _scanner = streams.CreateScanner(exchange.Attempt.Meter, Held);
    }

    protected override bool IsFinished => Exchange.Attempt.Meter.FinishedChoices >= _expectedChoices;

    // A server may return fewer choices than requested; those that started must have ended.
    protected override bool MayEnd => IsFinished || (Exchange.Attempt.Meter.FinishedChoices > 0 && !_scanner.HasOpenChoice);

    protected override void OnEvent(ReadOnlySpan<byte> name, ReadOnlySpan<byte> data, EventBatch batch)
    {
        if (data.IsEmpty) return;
        if (Exchange.Names is { } names) data = names.Restore(data);
        if (_scanner.Normalise(name, data) is not { } events)
        {
            Take(name, data, batch);
            return;
        }
        foreach (var (madeName, made) in events)
        {
            if (!HasEnded) Take(madeName, made, batch);
        }
    }

    private void Take(ReadOnlySpan<byte> name, ReadOnlySpan<byte> data, EventBatch batch)
    {
        var scanned = _scanner.Scan(name, data, out var error);
        // The scanner knows its dialect's error event; any other event with an error is one too.
        if (error is not null || scanned is null)
        {
            var body = UpstreamErrorBody.Find(data)
                ?? (error is null ? null : new UpstreamErrorBody(error.Type, null, null, error.Message));
            if (body is not null)
            {
                FailWith(batch, body);
                return;
            }
        }
        var failed = Exchange.Attempt.Meter.FailedReason is not null;
        if (scanned is { } known)
        {
            var isEnd = (known.Traits & NativeEventTraits.End) != 0;
            if (isEnd && !MayEnd && !failed)
            {
                // An end mark without a finish: the response may be incomplete.
                Fail(batch, UpstreamClient.NoReasonError);
                return;
            }
            var isPing = (known.Traits & NativeEventTraits.Ping) != 0;
            var hasContent = (known.Traits & NativeEventTraits.Content) != 0;
            if (!isPing && (!failed || hasContent)) batch.AddNative(_scanner.Repaired ?? data, known.Kind, known.Traits);
            if (isEnd && !failed) End();
        }
        if (failed) FailReason(batch);
    }

    protected override bool OnDocument(ReadOnlyMemory<byte> document, EventBatch batch)
    {
        if (Exchange.Names is { } names) document = names.Restore(document.Span).ToArray();
        if (_streams.EventsOf(document, Exchange.Attempt.Meter.CreatedAt) is { } events)
        {
            foreach (var data in events) OnEvent(default, data, batch);
            return MayEnd;
        }
        var meter = new OutputMeter { CreatedAt = Exchange.Attempt.Meter.CreatedAt };
        var answer = _provider.ReadDocument(_call, document, meter);
        Exchange.Attempt.Meter.FailedReason ??= meter.FailedReason;
        if (answer is null) return false;
        Exchange.Attempt.Meter.UpstreamModel = meter.UpstreamModel;
        ResponseEvents.Add(answer, meter.Report, batch);
        return true;
    }
}
