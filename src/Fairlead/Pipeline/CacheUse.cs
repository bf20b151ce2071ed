namespace Fairlead.Pipeline;

/// <summary>What the cache did for a call, as the header <c>Fairlead-Cache</c> says.</summary>
internal enum CacheStatus
{
    /// <summary>The call did not use it.</summary>
    Bypass,

    /// <summary>It had no response, or the call did not want one.</summary>
    Miss,

    /// <summary>The response is from it.</summary>
    Hit,
}

/// <summary>How a call uses the cache.</summary>
internal sealed class CacheUse
{
    /// <summary>Of calls that do not use it.</summary>
    public static readonly CacheUse Bypass = new() { Status = CacheStatus.Bypass };

    public required CacheStatus Status { get; init; }

    /// <summary>How old the response is; only of <see cref="CacheStatus.Hit"/>.</summary>
    public TimeSpan Age { get; init; }

    /// <summary>Receives the response for later calls; null if it is not kept.</summary>
    public IOutputRecorder? Recorder { get; init; }

    /// <summary>The status on the wire.</summary>
    public string ToWire() => Status switch
    {
        CacheStatus.Hit => "hit",
        CacheStatus.Miss => "miss",
        _ => "bypass",
    };
}

/// <summary>The output of a call that may be kept for later calls. For one call.</summary>
internal interface IOutputRecorder
{
    /// <summary>
    /// The call has ended: its <see cref="GatewayCall.Ending"/> decides whether the output is kept. Does not wait and does not throw.
    /// </summary>
    void Ended(GatewayCall call);
}
