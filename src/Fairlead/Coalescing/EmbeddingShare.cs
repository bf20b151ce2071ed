using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Streaming;

namespace Fairlead.Coalescing;

/// <summary>
/// The inputs of one call in a request to a provider. It has copies of all that it sends, because the call may leave before the request is
/// sent. Guarded by the lock of <see cref="EmbeddingFlights"/>, apart from the members that do not change.
/// </summary>
internal sealed class EmbeddingShare : IDisposable
{
    private readonly TaskCompletionSource<GatewayReply> _reply = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ByteRange[] _items;
    private readonly PooledBuffer _inputs;

    public EmbeddingShare(EmbeddingWork work, GatewayCall call, Attempt attempt)
    {
        Work = work;
        Call = call;
        Attempt = attempt;
        Flights = [.. work.Own];
        IsWhole = work.IsWhole;
        ProviderKey = call.ProviderKey;
        var body = call.Body.WrittenSpan;
        var value = work.Inputs.Value;
        Head = body[..value.Start].ToArray();
        Tail = body[value.End..].ToArray();
        _items = new ByteRange[Flights.Count];
        _inputs = new PooledBuffer(IsWhole ? value.Length : Flights.Sum(flight => work.BytesOf(flight.Key)) + 16, call.Memory);
        if (IsWhole) _inputs.Write(body[value.Start..value.End]);
        for (var i = 0; i < _items.Length; i++)
        {
            var item = work.Inputs.Items[work.Positions[Flights[i].Key]];
            _items[i] = IsWhole ? item with { Start = item.Start - value.Start } : new ByteRange(_inputs.Length, item.Length);
            if (!IsWhole) _inputs.Write(body[item.Start..item.End]);
        }
    }

    public EmbeddingWork Work { get; }

    public GatewayCall Call { get; }

    public Attempt Attempt { get; }

    /// <summary>The provider's key that has room for its call; 0 for any.</summary>
    public int ProviderKey { get; }

    /// <summary>The inputs, in the order in which they are sent.</summary>
    public IReadOnlyList<EmbeddingFlight> Flights { get; }

    /// <summary>Whether these are all inputs of the call.</summary>
    public bool IsWhole { get; }

    /// <summary>The body before and after the value of <c>input</c>.</summary>
    public byte[] Head { get; }

    /// <inheritdoc cref="Head"/>
    public byte[] Tail { get; }

    /// <summary>The value of <c>input</c> as the client sent it; only if <see cref="IsWhole"/>.</summary>
    public ReadOnlySpan<byte> Value => _inputs.WrittenSpan;

    /// <summary>Bytes of all inputs.</summary>
    public int Bytes => _inputs.Length;

    /// <summary>The request that sends it; null while it waits.</summary>
    public EmbeddingRun? Run { get; set; }

    /// <summary>Whether it is sent without the inputs of other calls.</summary>
    public bool IsAlone { get; init; }

    /// <summary>Whether it was in a request that failed for all its calls, and that they repeat together.</summary>
    public bool IsRepeated { get; init; }

    /// <summary>Whether its call no longer waits for it.</summary>
    public bool HasLeft { get; set; }

    /// <summary>Inputs of it for which other calls wait.</summary>
    public int Followed { get; set; }

    /// <summary>Whether a call still needs one of its vectors.</summary>
    public bool IsWanted => !HasLeft || Followed > 0;

    /// <summary>Whether its request was informed that no call needs it any more.</summary>
    public bool IsReleased { get; set; }

    /// <summary>The result for its call.</summary>
    public Task<GatewayReply> Reply => _reply.Task;

    /// <summary>One input as JSON.</summary>
    public ReadOnlySpan<byte> Item(int index) => _inputs.WrittenSpan.Slice(_items[index].Start, _items[index].Length);

    /// <summary>Bytes of one input.</summary>
    public int BytesOf(int index) => _items[index].Length;

    /// <summary>False if the call already has a result; then the caller of this method disposes the reply.</summary>
    public bool TryReply(GatewayReply reply) => _reply.TrySetResult(reply);

    /// <summary>Passes an error to the call.</summary>
    public void Throw(Exception exception) => _reply.TrySetException(exception);

    /// <summary>Returns the memory of the inputs, after they were sent.</summary>
    public void Dispose() => _inputs.Dispose();
}
