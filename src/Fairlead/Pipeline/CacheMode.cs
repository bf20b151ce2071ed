namespace Fairlead.Pipeline;

/// <summary>What a call may do with the cache of responses.</summary>
internal enum CacheMode
{
    /// <summary>Nothing.</summary>
    Off,

    /// <summary>Get a response from it.</summary>
    Read,

    /// <summary>Add its response to it.</summary>
    Write,

    /// <summary>Both.</summary>
    On,
}

/// <summary>The names of modes on the wire.</summary>
internal static class CacheModes
{
    /// <summary>In the order of documents and errors.</summary>
    public static readonly string[] All = ["off", "read", "write", "on"];

    public static string ToWire(this CacheMode mode) => All[(int)mode];

    /// <summary>The mode with this name; null for null and for other names.</summary>
    public static CacheMode? Find(string? name) =>
        name is not null && Array.IndexOf(All, name) is >= 0 and var index ? (CacheMode)index : null;

    public static bool Reads(this CacheMode mode) => mode is CacheMode.Read or CacheMode.On;

    public static bool Writes(this CacheMode mode) => mode is CacheMode.Write or CacheMode.On;
}

/// <summary>What a request wants of the cache.</summary>
internal sealed record CacheWish
{
    /// <summary>Largest <c>ttl_seconds</c>: 30 days.</summary>
    public const long MaxTtlSeconds = 30 * 24 * 60 * 60;

    /// <summary>Null for the mode of the key or the project.</summary>
    public CacheMode? Mode { get; init; }

    /// <summary>How long the response is kept, if that is shorter than the configuration allows; null for as long as that.</summary>
    public TimeSpan? Ttl { get; init; }
}
