namespace Fairlead.Access;

/// <summary>When a key was used last, shared by its secrets and by all snapshots of the process. Thread-safe.</summary>
internal sealed class KeyUse
{
    /// <summary>Uses in between are not noted, so that a busy key does not have all processors write to one place.</summary>
    internal static readonly TimeSpan Precision = TimeSpan.FromSeconds(10);

    private long _at;

    /// <summary>Milliseconds since 1970 in UTC; 0 for never in this process.</summary>
    public long At => Volatile.Read(ref _at);

    /// <summary>The value of <see cref="At"/> that is stored. For one thread.</summary>
    public long Stored { get; set; }

    public void Note(DateTimeOffset now)
    {
        var at = now.ToUnixTimeMilliseconds();
        if (at - Volatile.Read(ref _at) >= (long)Precision.TotalMilliseconds) Volatile.Write(ref _at, at);
    }
}
