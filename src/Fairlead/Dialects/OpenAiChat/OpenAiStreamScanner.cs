using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>Judges the events of a provider's stream of chat or text completion chunks.</summary>
internal sealed class OpenAiStreamScanner(AnswerMeter meter) : NativeStreamScanner
{
    public override (int Kind, NativeEventTraits Traits)? Scan(ReadOnlySpan<byte> eventName, ReadOnlySpan<byte> data, out UpstreamError? error)
    {
        error = null;
        data = data.Trim(" \t\r\n"u8);
        if (data.SequenceEqual("[DONE]"u8)) return (0, NativeEventTraits.End);
        var isErrorEvent = eventName.SequenceEqual("error"u8);
        if (!OpenAiAnswerScanner.TryScan(data, meter.UpstreamModel is null, out var found))
        {
            if (isErrorEvent) error = new UpstreamError(null, null);
            else meter.SkippedEvents++;
            return null;
        }
        if (found.IsError || isErrorEvent)
        {
            error = new UpstreamError(found.ErrorType, found.ErrorMessage);
            return null;
        }
        found.Report(meter);
        return (0, found.Traits);
    }
}
