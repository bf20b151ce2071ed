using Fairlead.Catalogue;

namespace Fairlead.Coalescing;

/// <summary>One request to a provider, or a few if it accepts fewer inputs: the inputs of one call or several.</summary>
/// <param name="group">Calls whose inputs may be sent together.</param>
internal sealed class EmbeddingRun(EmbeddingGroup group) : IDisposable
{
    private readonly CancellationTokenSource _cancellation = new();

    public EmbeddingGroup Group { get; } = group;

    /// <summary>The shares. Guarded by the lock of <see cref="EmbeddingBatches"/> until it starts, then by that of the flights.</summary>
    public List<EmbeddingShare> Shares { get; } = [];

    /// <summary>Shares that a call still needs, after it has started. Guarded by the lock of the flights.</summary>
    public int Wanted { get; set; }

    /// <summary>Inputs of all shares.</summary>
    public int Inputs { get; private set; }

    /// <summary>Their bytes.</summary>
    public long Bytes { get; private set; }

    /// <summary>Starts it at the end of the wait for others; null if it does not wait.</summary>
    public ITimer? Timer { get; set; }

    /// <summary>Fires when nobody needs it any more.</summary>
    public CancellationToken Token => _cancellation.Token;

    public Deployment Deployment => Shares[0].Attempt.Deployment;

    public void Add(EmbeddingShare share)
    {
        Shares.Add(share);
        Inputs += share.Flights.Count;
        Bytes += share.Bytes;
    }

    /// <summary>Stops it.</summary>
    public void Cancel()
    {
        try
        {
            _cancellation.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // It has ended in the same moment.
        }
    }

    public void Dispose()
    {
        Timer?.Dispose();
        _cancellation.Dispose();
    }
}

/// <summary>What calls have in common whose inputs may be sent in one request.</summary>
/// <param name="Deployment">Where it is sent.</param>
/// <param name="Context">The identity of everything beside the inputs.</param>
/// <param name="ProviderKey">The provider's key that has room for it; 0 for any.</param>
internal readonly record struct EmbeddingGroupKey(Deployment Deployment, Identity.IdentityKey Context, int ProviderKey)
{
    // Not all members of the deployment: it is computed under the lock.
    public override int GetHashCode() => HashCode.Combine(Context, ProviderKey, Deployment.Name);
}

/// <summary>Calls whose inputs may be sent in one request. Guarded by the lock of <see cref="EmbeddingBatches"/>.</summary>
/// <param name="key">What their calls have in common.</param>
internal sealed class EmbeddingGroup(EmbeddingGroupKey key)
{
    public EmbeddingGroupKey Key { get; } = key;

    /// <summary>Requests in progress.</summary>
    public int Running { get; set; }

    /// <summary>The request that collects inputs; null for none.</summary>
    public EmbeddingRun? Waiting { get; set; }

    /// <summary>The request that collects the inputs of requests that failed; null for none.</summary>
    public EmbeddingRun? Repeated { get; set; }
}
