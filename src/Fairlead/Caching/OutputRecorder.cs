using Fairlead.Conversation;
using Fairlead.Dialects.OpenAiEmbeddings;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Providers.Quirks;
using Fairlead.Streaming;
using Microsoft.Extensions.Logging;

namespace Fairlead.Caching;

/// <summary>
/// Records the output of a call while it is delivered, and keeps it if the call ends well: complete, by the model itself, in plain text. An
/// output that calls tools, was truncated, filtered, repaired or damaged is not kept. Embeddings are kept too. Belongs to the flow of its call.
/// </summary>
internal sealed class OutputRecorder(
    OutputCache cache, CacheKeys keys, string key, TimeSpan ttl, CachePacing pacing, long maxBytes, GatewayCall call, ILogger logger)
    : IOutputRecorder, IDisposable
{
    /// <summary>Deltas that are joined if the pauses between them are not kept.</summary>
    private const int JoinedDeltas = 16;

    private readonly MemoryLease _lease = new(call.Memory);
    private readonly List<GenerationEvent> _events = [];
    private readonly List<ChoiceFinished> _finishes = [];
    private List<int>? _offsets = pacing == CachePacing.Original ? [] : null;
    private ResponseStarted? _started;
    private byte[]? _embeddings;
    private EmbeddingsResponse? _vectors;
    private long _firstAt;
    private bool _isLost;
    private bool _isWhole;

    /// <summary>The reply that records itself as it is read.</summary>
    public GatewayReply Record(GatewayReply reply)
    {
        switch (reply)
        {
            case GatewayReply.Streaming streaming:
                return new GatewayReply.Streaming(new Recorded(streaming.Events, this));
            case GatewayReply.Complete complete:
                Add(complete.Response);
                return complete;
            case GatewayReply.NativeBody native when call.Operation == Operation.Embeddings:
                if (!TryTake(native.Body.Length)) return reply;
                _embeddings = native.Body.WrittenSpan.ToArray();
                _isWhole = true;
                return reply;
            case GatewayReply.Embedded embedded:
                if (!TryTake(embedded.Response.Vectors.Sum(static vector => 12L * vector.Length))) return reply;
                _vectors = embedded.Response;
                _isWhole = true;
                return reply;
            default:
                return reply;
        }
    }

    public void Ended(GatewayCall call)
    {
        try
        {
            if (!MayKeep(call) || !keys.IsCurrent(key)) return;
            cache.Store(key, Make(call));
            // A deletion in this moment may have swept before it was there.
            if (!keys.IsCurrent(key)) cache.Remove(key);
        }
        catch (Exception exception)
        {
            // The response is right; only a later call has to be computed again.
            CacheLog.NotKept(logger, call.RequestId, exception);
        }
        finally
        {
            Dispose();
        }
    }

    /// <summary>Keeps nothing more.</summary>
    public void Dispose()
    {
        _lease.Dispose();
        _events.Clear();
        (_embeddings, _vectors) = (null, null);
        _isLost = true;
    }

    private bool MayKeep(GatewayCall call) =>
        !_isLost && _isWhole && !call.ForbidsCache && !call.IsRepair
        && call.Ending is { Outcome: Outcome.Complete, Error: null }
        && call.Violations is not { Count: > 0 }
        && (call.Operation == Operation.Embeddings
            ? call.Answering is { Error: null }
            : call.Answering is { Error: null, Meter: { FinishReason: FinishReason.Stop, SkippedEvents: 0, FailedReason: null } meter }
                && meter.FinishedChoices >= call.Facts.ExpectedChoices);

    private CachedOutput Make(GatewayCall call)
    {
        var answering = call.Answering!;
        var now = call.Time.GetUtcNow();
        return new CachedOutput
        {
            Deployment = answering.Deployment.Name,
            UpstreamModel = answering.Meter.UpstreamModel,
            SystemFingerprint = _started?.SystemFingerprint,
            ServiceTier = _started?.ServiceTier,
            Events = _offsets is null ? Join(_events) : [.. _events],
            Offsets = _offsets?.ToArray(),
            Finishes = [.. _finishes],
            Embeddings = _embeddings
                ?? (_vectors is null ? null : EmbeddingsJson.Write(_vectors, call.Facts.Base64Vectors, answering.Usage.InputTokens)),
            // Of embeddings, others may have paid for a part.
            Usage = call.Operation == Operation.Embeddings ? answering.Usage : call.Ending!.Usage,
            Warnings = KeptWarnings.Of(call),
            StoredAt = now,
            ExpiresAt = now + ttl,
        };
    }

    private void Add(ModelResponse response)
    {
        // Everything else has no event.
        if (response.Choices.Any(static choice => choice.Audio is not null || choice.FinishReason is null
            || choice.Parts.Any(static part => part is not (TextPart or ReasoningPart or RefusalPart))))
        {
            _isLost = true;
            return;
        }
        using var batch = new EventBatch();
        ResponseEvents.Add(response, report: null, batch);
        // A whole response has no pauses.
        _offsets = null;
        Add(batch);
        _isWhole = true;
    }

    private void Add(EventBatch batch)
    {
        if (_isLost) return;
        foreach (var item in batch.Items)
        {
            switch (item.Event)
            {
                case ResponseStarted started:
                    _started ??= started;
                    break;
                case ChoiceFinished finished:
                    _finishes.RemoveAll(held => held.Choice == finished.Choice);
                    _finishes.Add(finished);
                    break;
                case UsageReported:
                    break;
                case TextDelta or ReasoningDelta or RefusalDelta or AnnotationsAdded:
                    if (!TryAdd(item.Event)) return;
                    break;
                default:
                    _isLost = true;
                    return;
            }
        }
    }

    private bool TryAdd(GenerationEvent made)
    {
        if (!TryTake(CachedOutput.SizeOf(made))) return false;
        if (_offsets is not null)
        {
            var now = call.Timings.Now();
            if (_events.Count == 0) _firstAt = now;
            _offsets.Add((int)Math.Min(int.MaxValue, (now - _firstAt) * 1000.0 / call.Time.TimestampFrequency));
        }
        _events.Add(made);
        return true;
    }

    private bool TryTake(long size)
    {
        if (_lease.Held + size <= maxBytes && _lease.TryTake(size)) return true;
        Dispose();
        return false;
    }

    private static List<GenerationEvent> Join(List<GenerationEvent> events)
    {
        var joined = new List<GenerationEvent>();
        for (var i = 0; i < events.Count;)
        {
            var end = i + 1;
            while (end < events.Count && end - i < JoinedDeltas && CanJoin(events[i], events[end])) end++;
            joined.Add(end - i == 1 ? events[i] : events[i] switch
            {
                TextDelta first => first with { Text = string.Concat(events[i..end].Select(static made => ((TextDelta)made).Text)) },
                ReasoningDelta first => first with
                {
                    Text = string.Concat(events[i..end].Select(static made => ((ReasoningDelta)made).Text)),
                },
                var other => other,
            });
            i = end;
        }
        return joined;
    }

    private static bool CanJoin(GenerationEvent first, GenerationEvent next) => (first, next) switch
    {
        (TextDelta { Logprobs: null }, TextDelta { Logprobs: null }) => first.Choice == next.Choice,
        (ReasoningDelta { Signature: null, Redacted: null }, ReasoningDelta { Signature: null, Redacted: null }) =>
            first.Choice == next.Choice,
        _ => false,
    };

    private sealed class Recorded(IEventSource source, OutputRecorder recorder) : IEventSource
    {
        public bool BuffersAhead => source.BuffersAhead;

        public async ValueTask<bool> ReadAsync(EventBatch batch, CancellationToken cancellationToken)
        {
            if (await source.ReadAsync(batch, cancellationToken))
            {
                recorder.Add(batch);
                return true;
            }
            recorder._isWhole = true;
            return false;
        }

        public ValueTask DisposeAsync() => source.DisposeAsync();
    }
}
