using Fairlead.Conversation;
using Fairlead.Identity;
using Fairlead.Pipeline;

namespace Fairlead.Coalescing;

/// <summary>
/// One call of embeddings and what it still lacks. Belongs to the flow of its call; what it owns, follows and takes over changes only under
/// the lock of <see cref="EmbeddingFlights"/>.
/// </summary>
internal sealed class EmbeddingWork
{
    private readonly List<EmbeddingTakeover> _unrecorded = [];
    private TaskCompletionSource? _signal;
    private TaskCompletionSource? _recorded;

    /// <param name="call">The call.</param>
    /// <param name="inputs">Its inputs.</param>
    /// <param name="keys">The identity of each input.</param>
    /// <param name="context">The identity of everything beside the inputs, and of the end user: calls with the same one may share a request.</param>
    public EmbeddingWork(GatewayCall call, EmbeddingInputs inputs, IdentityKey[] keys, IdentityKey context)
    {
        Call = call;
        Inputs = inputs;
        Keys = keys;
        Context = context;
        // Vectors of different models do not fit together in one response.
        IsAlone = call.Model.HasDifferentModels;
        for (var i = 0; i < keys.Length; i++)
        {
            if (Positions.TryAdd(keys[i], i)) Missing.Add(keys[i]);
        }
    }

    public GatewayCall Call { get; }

    public EmbeddingInputs Inputs { get; }

    /// <summary>The identity of each input.</summary>
    public IReadOnlyList<IdentityKey> Keys { get; }

    public IdentityKey Context { get; }

    /// <summary>The first position of each different input.</summary>
    public Dictionary<IdentityKey, int> Positions { get; } = [];

    /// <summary>Different inputs without a vector, at the start of a round.</summary>
    public List<IdentityKey> Missing { get; } = [];

    /// <summary>Inputs that it computes in the current round.</summary>
    public List<EmbeddingFlight> Own { get; } = [];

    /// <summary>Inputs that others compute for it in the current round, with its place among those that wait.</summary>
    public List<(EmbeddingFlight Flight, LinkedListNode<EmbeddingWork> Place)> Followed { get; } = [];

    /// <summary>What is known, by input.</summary>
    public Dictionary<IdentityKey, EmbeddingVector> Vectors { get; } = [];

    /// <summary>What it pays although another call had it computed, by the part of the request.</summary>
    public Dictionary<EmbeddingShare, EmbeddingTakeover> Takeovers { get; } = [];

    /// <summary>Whether the flow of the call waits, and can record at once what it takes over.</summary>
    public bool IsListening { get; private set; }

    /// <summary>
    /// Whether it computes what it lacks without sharing, because the request of another call was refused, or because its model stands for
    /// different ones.
    /// </summary>
    public bool IsAlone { get; set; }

    /// <summary>Whether another call paid for one of its vectors.</summary>
    public bool HasShared { get; private set; }

    /// <summary>Whether it computes the whole request by itself, so that the provider's response can be its own.</summary>
    public bool IsWhole => Own.Count == Keys.Count && Followed.Count == 0 && Vectors.Count == 0;

    /// <summary>Takes the vector of an input that was computed.</summary>
    /// <returns>Whether another call pays.</returns>
    public bool Take(EmbeddingFlight flight)
    {
        Vectors[flight.Key] = flight.Vector!;
        if (ReferenceEquals(flight.Payer, this)) return false;
        HasShared = true;
        return true;
    }

    /// <summary>Starts another round for what is still missing.</summary>
    public void ForgetKnown() => Missing.RemoveAll(Vectors.ContainsKey);

    /// <summary>Bytes of an input in the request.</summary>
    public int BytesOf(IdentityKey key) => Inputs.Items[Positions[key]].Length;

    /// <summary>Tokens of inputs that were left before they were counted: four bytes each.</summary>
    public static Usage Guess(long bytes) => new(Math.Max(1, bytes / 4), 0) { Basis = Basis.Estimated };

    /// <summary>Pays for an input from now on.</summary>
    /// <returns>Completes when that is recorded.</returns>
    public Task TakeOver(EmbeddingFlight flight, EmbeddingShare share)
    {
        if (!Takeovers.TryGetValue(share, out var takeover)) Takeovers.Add(share, takeover = new EmbeddingTakeover(share));
        takeover.Flights.Add(flight);
        takeover.Bytes += BytesOf(flight.Key);
        // All inputs of a share come together, so the last one is enough.
        if (_unrecorded.Count == 0 || _unrecorded[^1] != takeover) _unrecorded.Add(takeover);
        _signal?.TrySetResult();
        return (_recorded ??= NewSignal()).Task;
    }

    /// <inheritdoc cref="EmbeddingFlights.Listen"/>
    public Task Listen()
    {
        IsListening = true;
        if (_signal is null or { Task.IsCompleted: true }) _signal = NewSignal();
        if (_unrecorded.Count > 0) _signal.TrySetResult();
        return _signal.Task;
    }

    /// <inheritdoc cref="EmbeddingFlights.StopListening"/>
    public bool StopListening()
    {
        IsListening = false;
        return _unrecorded.Count > 0;
    }

    /// <inheritdoc cref="EmbeddingFlights.TakeUnrecorded"/>
    public IReadOnlyList<EmbeddingTakeover> TakeUnrecorded()
    {
        EmbeddingTakeover[] taken = [.. _unrecorded];
        _unrecorded.Clear();
        return taken;
    }

    /// <inheritdoc cref="EmbeddingFlights.Recorded"/>
    public void Recorded()
    {
        // What was taken over since is recorded later, and signals for itself.
        if (_unrecorded.Count > 0 && IsListening) return;
        _recorded?.TrySetResult();
        _recorded = null;
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
