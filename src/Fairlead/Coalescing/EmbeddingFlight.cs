using Fairlead.Errors;
using Fairlead.Identity;

namespace Fairlead.Coalescing;

/// <summary>How the computation of an input ended.</summary>
internal enum FlightOutcome
{
    /// <summary>Its vector is known.</summary>
    Computed,

    /// <summary>Its owner left before it was computed: a follower computes it.</summary>
    Left,

    /// <summary>The provider failed, as it would for the followers.</summary>
    Failed,

    /// <summary>The owner's request was refused for a reason of its own: each follower computes the input alone.</summary>
    Refused,
}

/// <summary>
/// One input that is being computed: by its owner, for the owner and the followers. Everything but <see cref="Ended"/> is guarded by the
/// lock of <see cref="EmbeddingFlights"/> until it has ended, and does not change after that.
/// </summary>
internal sealed class EmbeddingFlight(IdentityKey key, EmbeddingWork owner)
{
    private readonly TaskCompletionSource<FlightOutcome> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public IdentityKey Key { get; } = key;

    /// <summary>The call that started it; null after it has left.</summary>
    public EmbeddingWork? Owner { get; set; } = owner;

    /// <summary>Who pays for its vector: the owner, or the follower to which it passed the payment when it left.</summary>
    public EmbeddingWork Payer { get; set; } = owner;

    /// <summary>Calls that wait for it, in the order in which they came; null while there were none.</summary>
    public LinkedList<EmbeddingWork>? Followers { get; private set; }

    /// <summary>The request that computes it now; null between two attempts.</summary>
    public EmbeddingShare? Share { get; private set; }

    /// <summary>Whether it has ended.</summary>
    public bool HasEnded { get; private set; }

    /// <summary>Completes when it has ended.</summary>
    public Task<FlightOutcome> Ended => _ended.Task;

    /// <summary>The result of <see cref="FlightOutcome.Computed"/>; null if nobody needs it in this form.</summary>
    public EmbeddingVector? Vector { get; private set; }

    /// <summary>The error of <see cref="FlightOutcome.Failed"/>.</summary>
    public GatewayError? Error { get; private set; }

    /// <summary>Whether a call waits for its vector beside the owner.</summary>
    public bool IsFollowed => !HasEnded && Followers is { Count: > 0 };

    /// <summary>Adds a call that waits for it.</summary>
    /// <returns>Its place, by which it leaves.</returns>
    public LinkedListNode<EmbeddingWork> Follow(EmbeddingWork work)
    {
        Followers ??= new LinkedList<EmbeddingWork>();
        var place = Followers.AddLast(work);
        if (Followers.Count == 1 && Share is { } share) share.Followed++;
        return place;
    }

    /// <summary>Removes a call that waits for it.</summary>
    public void Unfollow(LinkedListNode<EmbeddingWork> place)
    {
        Followers!.Remove(place);
        if (Followers.Count == 0 && Share is { } share) share.Followed--;
    }

    /// <summary>Sets the request that computes it.</summary>
    public void SetShare(EmbeddingShare? share)
    {
        if (IsFollowed)
        {
            if (Share is { } before) before.Followed--;
            if (share is not null) share.Followed++;
        }
        Share = share;
    }

    /// <summary>Ends it with a vector.</summary>
    public void Compute(EmbeddingVector? vector)
    {
        Vector = vector;
        End(FlightOutcome.Computed);
    }

    /// <summary>Ends it without a vector.</summary>
    public void End(FlightOutcome outcome, GatewayError? error = null)
    {
        if (IsFollowed && Share is { } share) share.Followed--;
        HasEnded = true;
        Error = error;
        _ended.TrySetResult(outcome);
    }
}
