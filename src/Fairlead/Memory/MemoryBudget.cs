using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using Fairlead.Configuration;
using Fairlead.Errors;
using Fairlead.Streaming;
using Fairlead.Telemetry;

namespace Fairlead.Memory;

/// <summary>
/// The memory that request and response bytes of this process may use together: bodies, WebSocket messages, waiting events, bodies of
/// running jobs, and responses that are buffered whole. Two counters without a lock; one instance per gateway. Thread-safe.
/// </summary>
/// <remarks>
/// A holder of memory takes it here and returns it exactly once: a <see cref="Streaming.PooledBuffer"/> for bytes, a
/// <see cref="MemoryLease"/> for anything else. The last tenth of the budget is reserved for holders of at most <see cref="SmallBytes"/>,
/// so that ordinary calls continue while large ones are refused. Memory for a caller comes from <see cref="ShareOf"/>: a budget of one key,
/// which counts in this one too.
/// </remarks>
internal sealed class MemoryBudget
{
    /// <summary>A holder of at most this many bytes may use the reserved tenth.</summary>
    public const int SmallBytes = 64 * 1024;

    /// <summary>Above this number, unused shares are removed.</summary>
    private const int ManyShares = 10_000;

    private readonly Func<long?> _configured;
    private readonly Func<long?>? _configuredShare;
    private readonly MemoryBudget? _whole;
    private readonly ConcurrentDictionary<string, MemoryBudget> _shares = new(StringComparer.Ordinal);
    private long _used;

    /// <param name="configured">The limit; null for the default.</param>
    /// <param name="configuredShare">The limit of one key; null for half of the total.</param>
    /// <param name="meters">Creates its meter.</param>
    public MemoryBudget(Func<long?> configured, Func<long?> configuredShare, IMeterFactory meters)
        : this(configured, configuredShare)
    {
        var meter = meters.Create(GatewayTelemetry.Name);
        meter.CreateObservableGauge("fairlead.memory.used", () => Used, "By", "Bytes of requests and responses in memory.");
        meter.CreateObservableGauge("fairlead.memory.limit", () => Limit, "By",
            "Maximum bytes of requests and responses in memory (`requests.memoryBudget`).");
    }

    /// <param name="configured">The limit; null for the default.</param>
    /// <param name="configuredShare">The limit of one key; null for half of the total.</param>
    internal MemoryBudget(Func<long?> configured, Func<long?>? configuredShare = null)
    {
        _configured = configured;
        _configuredShare = configuredShare;
    }

    private MemoryBudget(MemoryBudget whole)
    {
        _whole = whole;
        _configured = () => whole._configuredShare?.Invoke() ?? (whole.Limit / 2);
    }

    /// <summary>
    /// The budget of one key. It counts in this budget too, and is smaller, so that one key never takes the memory of all others.
    /// </summary>
    public MemoryBudget ShareOf(string keyId)
    {
        if (_shares.TryGetValue(keyId, out var known)) return known;
        if (_shares.Count > ManyShares)
        {
            foreach (var share in _shares)
            {
                if (share.Value.Used == 0) _shares.TryRemove(share);
            }
        }
        return _shares.GetOrAdd(keyId, static (_, whole) => new MemoryBudget(whole), this);
    }

    /// <summary>The limit. A reload may lower it below what is in use; then nothing new is admitted until enough was returned.</summary>
    public long Limit => _configured() ?? Default;

    /// <summary>Bytes in use.</summary>
    public long Used => Volatile.Read(ref _used);

    /// <summary>A quarter of the memory that the process may use by the runtime: of the machine, or of its container.</summary>
    public static long Default { get; } = Math.Max(64L * 1024 * 1024, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4);

    /// <summary>Whether a holder of more than <see cref="SmallBytes"/> would be refused.</summary>
    public bool IsExhausted => Used >= LargeLimit(Limit) || _whole is { IsExhausted: true };

    /// <summary>The error for a holder that does not fit.</summary>
    public static GatewayError Overloaded { get; } = new(ErrorCode.Overloaded,
        "The server's memory for requests and responses is used up at the moment.") { RetryAfter = TimeSpan.FromSeconds(1) };

    /// <summary>
    /// Takes <paramref name="bytes"/> for a holder that then has <paramref name="total"/>. False if they do not fit; then nothing was
    /// taken.
    /// </summary>
    public bool TryTake(long bytes, long total)
    {
        var used = Interlocked.Add(ref _used, bytes);
        var limit = Limit;
        if (used <= (total <= SmallBytes ? limit : LargeLimit(limit)) && _whole?.TryTake(bytes, total) != false) return true;
        Interlocked.Add(ref _used, -bytes);
        return false;
    }

    /// <summary>Whether <paramref name="bytes"/> would fit at this moment. Nothing is taken.</summary>
    public bool HasRoomFor(long bytes) => Used + bytes <= (bytes <= SmallBytes ? Limit : LargeLimit(Limit))
        && _whole?.HasRoomFor(bytes) != false;

    /// <summary>
    /// Takes <paramref name="bytes"/> even if they do not fit: for what can no longer be refused, such as a result that is paid for.
    /// </summary>
    public void Take(long bytes)
    {
        Interlocked.Add(ref _used, bytes);
        _whole?.Take(bytes);
    }

    public void Return(long bytes)
    {
        Interlocked.Add(ref _used, -bytes);
        _whole?.Return(bytes);
    }

    private static long LargeLimit(long limit) => limit - (limit / 10);
}
