using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects.OpenAiEmbeddings;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Streaming;

namespace Fairlead.Coalescing;

/// <summary>
/// One request of a run, with as many inputs as the provider accepts. It is sent as a call of its own, because each of its callers may
/// leave. One owner, who disposes it.
/// </summary>
internal sealed class EmbeddingPart : IDisposable
{
    /// <summary>No vectors: what a call gets as reply if its response is made of those that were computed for all.</summary>
    public static readonly GatewayReply NoReply = new GatewayReply.Embedded(new EmbeddingsResponse([]));

    private readonly EmbeddingRun _run;
    private readonly List<(EmbeddingShare Share, int Index)> _items;
    private readonly bool _isVerbatim;
    private GatewayCall _call = null!;
    private GatewayReply? _reply;
    private byte[]? _json;
    private EmbeddingEnvelope? _envelope;
    private readonly List<ByteRange> _vectors = [];

    private EmbeddingPart(EmbeddingRun run, List<(EmbeddingShare Share, int Index)> items, bool isVerbatim)
    {
        _run = run;
        _items = items;
        _isVerbatim = isVerbatim;
    }

    /// <summary>Its inputs.</summary>
    public IReadOnlyList<(EmbeddingShare Share, int Index)> Items => _items;

    /// <summary>The attempt that sends it; none of its callers has it.</summary>
    public Attempt Attempt { get; private set; } = null!;

    /// <summary>The parts of a run, in their order. The next one is created when it is needed.</summary>
    public static IEnumerable<EmbeddingPart> Of(EmbeddingRun run)
    {
        var max = run.Deployment.Provider.MaxEmbeddingInputs ?? int.MaxValue;
        var isVerbatim = run.Shares is [{ IsWhole: true } only] && only.Flights.Count <= max;
        var items = new List<(EmbeddingShare, int)>();
        foreach (var share in run.Shares)
        {
            for (var i = 0; i < share.Flights.Count; i++)
            {
                if (items.Count == max)
                {
                    yield return new EmbeddingPart(run, items, isVerbatim);
                    items = [];
                }
                items.Add((share, i));
            }
        }
        yield return new EmbeddingPart(run, items, isVerbatim);
    }

    /// <summary>Creates its call.</summary>
    /// <param name="bounds">Limits of a request.</param>
    /// <param name="sending">Called when it is sent.</param>
    public (GatewayCall Call, Attempt Attempt, Deployment Deployment) Begin(RequestBounds bounds, Action sending)
    {
        var first = _items[0].Share;
        var from = first.Call;
        // Calls of different organizations have nothing in common that one of them may choose.
        var isOfOne = _items.TrueForAll(item => item.Share.Call.Caller.OrganizationId == from.Caller.OrganizationId);
        _call = new GatewayCall(isOfOne ? from.RequestId : Ids.New("req_", from.Time), from.GenerationId, from.Dialect, from.Caller, from.Time)
        {
            StartedAt = from.StartedAt,
            Memory = from.Memory,
            Model = from.Model,
            Body = Write(first),
            Endpoint = from.Endpoint,
            Class = from.Class,
            Simulate = from.Simulate,
            ProviderKey = first.ProviderKey,
            IncomingTrace = isOfOne ? from.IncomingTrace : null,
            MaxInputTokens = _items.Sum(static item => (long)item.Share.BytesOf(item.Index)),
            // Counted only if the provider does not report it.
            InputEstimate = new TokenEstimate(0, Basis.Estimated),
        };
        if (_call.Dialect.Requests.Read(_call, bounds) is { } error) throw new GatewayErrorException(error);
        Attempt = new Attempt(first.Attempt.Id, first.Attempt.Number, first.Attempt.Deployment)
        {
            StartedAt = from.Time.GetTimestamp(),
            Memory = from.Memory,
            Quota = first.Attempt.Quota,
            Sending = sending,
        };
        Attempt.Meter.CreatedAt = first.Attempt.Meter.CreatedAt;
        return (_call, Attempt, first.Attempt.Deployment);
    }

    /// <summary>Takes the provider's reply; returns the failure if it is one.</summary>
    public GatewayReply.AttemptFailed? Take(GatewayReply reply)
    {
        _reply = reply;
        switch (reply)
        {
            case GatewayReply.AttemptFailed failed:
                return failed;
            case GatewayReply.Embedded embedded when embedded.Response.Vectors.Count != _items.Count:
                return new GatewayReply.AttemptFailed(
                    new GatewayError(ErrorCode.ProviderError, "The model's provider returned another number of vectors than inputs."),
                    FailureClass.Failover);
            default:
                return null;
        }
    }

    /// <summary>The reply, for a call that has the whole request to itself. It then belongs to that call.</summary>
    public GatewayReply TakeReply()
    {
        var reply = _reply!;
        _reply = null;
        return reply;
    }

    /// <summary>The vector of an input, copied.</summary>
    public EmbeddingVector VectorOf(int index, in Usage usage)
    {
        if (_envelope is null)
        {
            _json = _reply is GatewayReply.Embedded embedded
                ? EmbeddingsJson.Write(embedded.Response, _call.Facts.Base64Vectors, tokens: 0)
                : null;
            _envelope = EmbeddingEnvelope.Of(Json, _vectors);
        }
        var range = _vectors[index];
        return new EmbeddingVector(Json.Slice(range.Start, range.Length).ToArray(), _envelope, usage, Attempt);
    }

    /// <summary>Passes what the provider reported beside the response to one of the callers.</summary>
    public void Tell(GatewayCall call)
    {
        foreach (var warning in _call.Warnings) call.Warn(warning.Code, warning.Message);
        foreach (var (phase, duration) in _call.Timings.Own) call.Timings.Record(phase, duration);
        foreach (var (signal, value) in _call.Quality.Own) call.Quality.Set(signal, value);
    }

    public void Dispose()
    {
        (_reply as GatewayReply.NativeBody)?.Body.Dispose();
        _call?.Body?.Dispose();
    }

    private ReadOnlySpan<byte> Json => _json ?? ((GatewayReply.NativeBody)_reply!).Body.WrittenSpan;

    private PooledBuffer Write(EmbeddingShare first)
    {
        var length = first.Head.Length + first.Tail.Length + 2 + _items.Sum(static item => item.Share.BytesOf(item.Index) + 1);
        var body = new PooledBuffer(Math.Max(length, _isVerbatim ? first.Head.Length + first.Value.Length + first.Tail.Length : 0), first.Call.Memory);
        body.Write(first.Head);
        if (_isVerbatim)
        {
            body.Write(first.Value);
        }
        else
        {
            for (var i = 0; i < _items.Count; i++)
            {
                body.Write(i == 0 ? "["u8 : ","u8);
                body.Write(_items[i].Share.Item(_items[i].Index));
            }
            body.Write("]"u8);
        }
        body.Write(first.Tail);
        return body;
    }
}
