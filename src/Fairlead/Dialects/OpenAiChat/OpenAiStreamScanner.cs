using Fairlead.Dialects.Quirks;
using Fairlead.Streaming;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>
/// Scans the events of a provider's stream of chat or text completion chunks, and repairs those that OpenAI would send differently.
/// </summary>
internal sealed class OpenAiStreamScanner(OutputMeter meter, bool isChat) : NativeStreamScanner
{
    private readonly ChatNormaliser _normaliser = new(isChat, meter.CreatedAt, meter);

    public override bool HasOpenChoice => _normaliser.HasOpenChoice;

    public override (int Kind, NativeEventTraits Traits)? Scan(ReadOnlySpan<byte> eventName, ReadOnlySpan<byte> data,
        out UpstreamError? error)
    {
        error = null;
        Repaired = null;
        data = data.Trim(" \t\r\n"u8);
        if (ChatNormaliser.IsEndMark(data)) return (0, NativeEventTraits.End);
        var isErrorEvent = eventName.SequenceEqual("error"u8);
        if (!_normaliser.TryNormalise(data, meter.UpstreamModel is null, out var found, out var repaired))
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
        if (found.FailedReason is not null) meter.FailedReason = found.FailedReason;
        if (ChatNormaliser.IsEmptyEvent(found)) return null;
        found.Report(meter);
        Repaired = repaired;
        if (meter.Digest is { } digest) ChunkDigest.Add(digest, repaired ?? data, found);
        return (0, found.Traits);
    }
}
