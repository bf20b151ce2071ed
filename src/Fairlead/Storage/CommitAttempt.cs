namespace Fairlead.Storage;

/// <summary>
/// One try of a write whose commit may take effect although its response is lost. See <see cref="StorageRetry.RunUntilKnownAsync"/>.
/// </summary>
internal sealed class CommitAttempt(bool isRepeat)
{
    /// <summary>Whether an earlier try may have written the same already.</summary>
    public bool IsRepeat => isRepeat;

    /// <summary>Whether the database has been asked to commit.</summary>
    public bool IsSent { get; private set; }

    /// <summary>Call before the database is asked to commit. From then on, a failure leaves the outcome unknown.</summary>
    public void Sending() => IsSent = true;
}
