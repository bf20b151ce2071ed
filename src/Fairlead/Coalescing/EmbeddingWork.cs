using Fairlead.Conversation;
using Fairlead.Identity;
using Fairlead.Pipeline;

namespace Fairlead.Coalescing;

/// <summary>
/// One call of embeddings and what it still lacks. Belongs to the flow of its call; <see cref="Own"/> and <see cref="Followed"/> change
/// only under the lock of <see cref="EmbeddingFlights"/>.
/// </summary>
internal sealed class EmbeddingWork
{
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

    /// <summary>Different inputs without a vector.</summary>
    public List<IdentityKey> Missing { get; } = [];

    /// <summary>Inputs that it computes in the current round.</summary>
    public List<EmbeddingFlight> Own { get; } = [];

    /// <summary>Inputs that others compute for it in the current round.</summary>
    public List<EmbeddingFlight> Followed { get; } = [];

    /// <summary>What is known, by input.</summary>
    public Dictionary<IdentityKey, EmbeddingVector> Vectors { get; } = [];

    /// <summary>Vectors that it pays although another call had them computed.</summary>
    public List<EmbeddingVector> Bought { get; } = [];

    /// <summary>Notes a vector that it pays although another call had it computed; once.</summary>
    public void Buy(EmbeddingVector vector)
    {
        if (!Bought.Exists(known => ReferenceEquals(known, vector))) Bought.Add(vector);
    }

    /// <summary>Takes the vector of an input that was computed, and pays for it if it must.</summary>
    /// <returns>Whether another call pays.</returns>
    public bool Take(EmbeddingFlight flight)
    {
        var vector = flight.Vector!;
        Vectors[flight.Key] = vector;
        Missing.Remove(flight.Key);
        if (ReferenceEquals(flight.Payer, this))
        {
            if (!Own.Contains(flight)) Buy(vector);
            return false;
        }
        HasShared = true;
        return true;
    }

    /// <summary>Whether it computes what it lacks without sharing, because the request of another call was refused.</summary>
    public bool IsAlone { get; set; }

    /// <summary>Whether another call paid for one of its vectors.</summary>
    public bool HasShared { get; set; }

    /// <summary>Whether it computes the whole request by itself, so that the provider's response can be its own.</summary>
    public bool IsWhole => Own.Count == Keys.Count && Followed.Count == 0 && Vectors.Count == 0;

    /// <summary>Bytes of an input in the request.</summary>
    public int BytesOf(IdentityKey key) => Inputs.Items[Positions[key]].Length;

    /// <summary>Tokens of inputs that were left before they were counted: four bytes each.</summary>
    public static Usage Guess(long bytes) => new(Math.Max(1, bytes / 4), 0) { Basis = Basis.Estimated };
}
