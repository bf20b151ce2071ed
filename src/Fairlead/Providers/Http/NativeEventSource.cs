using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Streaming;

namespace Fairlead.Providers.Http;

/// <summary>A stream in the caller's own dialect: events go on as they came, scanned for what the stages need. Feeds the attempt's meter itself.</summary>
/// <param name="expectedChoices">Choices that must have ended before the end of the bytes counts as an end.</param>
internal sealed class NativeEventSource(UpstreamExchange exchange, Dialect dialect, int expectedChoices) : UpstreamEventSource(exchange)
{
    private readonly NativeStreamScanner _scanner = dialect.CreateScanner(exchange.Attempt.Meter);

    protected override bool IsFinished => Exchange.Attempt.Meter.FinishedChoices >= expectedChoices;

    protected override void OnEvent(ReadOnlySpan<byte> name, ReadOnlySpan<byte> data, EventBatch batch)
    {
        if (data.IsEmpty) return;
        var scanned = _scanner.Scan(name, data, out var error);
        // The scanner knows its dialect's error event; whatever else holds an error is one too.
        if (error is not null || scanned is null)
        {
            var body = UpstreamErrorBody.Find(data) ?? (error is null ? null : new UpstreamErrorBody(error.Type, null, null, error.Message));
            if (body is not null)
            {
                FailWith(batch, body);
                return;
            }
        }
        if (scanned is not { } known) return;
        var isEnd = (known.Traits & NativeEventTraits.End) != 0;
        if (isEnd && !IsFinished)
        {
            // An end mark without a finish is a cut answer in the clothes of a whole one.
            Fail(batch, UpstreamClient.BrokenError);
            return;
        }
        if ((known.Traits & NativeEventTraits.Ping) == 0) batch.AddNative(data, known.Kind, known.Traits);
        if (isEnd) End();
    }
}
