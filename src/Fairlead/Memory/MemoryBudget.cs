using System.Diagnostics.Metrics;
using Fairlead.Configuration;
using Fairlead.Errors;
using Fairlead.Telemetry;

namespace Fairlead.Memory;

/// <summary>
/// The memory that request and response bytes of this process may hold together: bodies, WebSocket messages, events that wait, bodies of jobs that run and responses that
/// are held whole. Two counters without a lock; one instance per gateway. Thread-safe.
/// </summary>
/// <remarks>
/// What holds memory takes it here and gives it back exactly once: a <see cref="Streaming.PooledBuffer"/> for bytes, a <see cref="MemoryLease"/> for anything else. The last
/// tenth of the budget is reserved for holders of at most <see cref="SmallBytes"/>, so that ordinary calls go on while large ones are refused.
/// </remarks>
internal sealed class MemoryBudget
{
    /// <summary>A holder of at most this many bytes may use the reserved tenth.</summary>
    public const int SmallBytes = 64 * 1024;

    private readonly Func<long?> _configured;
    private long _used;

    public MemoryBudget(IConfigurationSource configuration, IMeterFactory meters)
        : this(() => configuration.Current.Requests.MemoryBudget)
    {
        var meter = meters.Create(GatewayTelemetry.Name);
        meter.CreateObservableGauge("fairlead.memory.used", () => Used, "By", "Bytes of requests and responses that are held in memory.");
        meter.CreateObservableGauge("fairlead.memory.limit", () => Limit, "By", "What they may hold at most (`requests.memoryBudget`).");
    }

    /// <param name="configured">The limit; null for the default.</param>
    internal MemoryBudget(Func<long?> configured) => _configured = configured;

    /// <summary>What may be held. A reload may lower it below what is held; then nothing new is admitted until enough was given back.</summary>
    public long Limit => _configured() ?? Default;

    /// <summary>What is held now.</summary>
    public long Used => Volatile.Read(ref _used);

    /// <summary>A quarter of what the runtime says the process may use: of the machine, or of its container.</summary>
    public static long Default { get; } = Math.Max(64L * 1024 * 1024, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4);

    /// <summary>Whether a holder of more than <see cref="SmallBytes"/> would be refused.</summary>
    public bool IsExhausted => Used >= LargeLimit(Limit);

    /// <summary>What a holder is told that does not fit.</summary>
    public static GatewayError Overloaded { get; } = new(ErrorCode.Overloaded, "The memory of this server for requests and responses is used up at the moment.") { RetryAfter = TimeSpan.FromSeconds(1) };

    /// <summary>Takes <paramref name="bytes"/> for a holder that then has <paramref name="total"/>. False when they do not fit; then nothing was taken.</summary>
    public bool TryTake(long bytes, long total)
    {
        var used = Interlocked.Add(ref _used, bytes);
        var limit = Limit;
        if (used <= (total <= SmallBytes ? limit : LargeLimit(limit))) return true;
        Interlocked.Add(ref _used, -bytes);
        return false;
    }

    /// <summary>Whether <paramref name="bytes"/> would fit at this moment. Nothing is taken.</summary>
    public bool HasRoomFor(long bytes) => Used + bytes <= (bytes <= SmallBytes ? Limit : LargeLimit(Limit));

    /// <summary>Takes <paramref name="bytes"/> whether or not they fit: for what must not be refused any more, such as a result that is paid for.</summary>
    public void Take(long bytes) => Interlocked.Add(ref _used, bytes);

    public void Return(long bytes) => Interlocked.Add(ref _used, -bytes);

    private static long LargeLimit(long limit) => limit - (limit / 10);
}
