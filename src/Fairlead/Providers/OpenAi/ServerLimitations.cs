using System.Collections.Concurrent;

namespace Fairlead.Providers.OpenAi;

/// <summary>
/// Caches for an hour that a server lacks an endpoint or rejects a field. After that it is tried again, since servers are updated.
/// Thread-safe.
/// </summary>
internal sealed class ServerLimitations(TimeProvider time)
{
    private static readonly TimeSpan Lifetime = TimeSpan.FromHours(1);

    private readonly ConcurrentDictionary<(string Limitation, string Model), long> _known = new();

    public bool Has(string limitation, string model = "")
    {
        if (_known.IsEmpty || !_known.TryGetValue((limitation, model), out var since)) return false;
        if (time.GetElapsedTime(since) < Lifetime) return true;
        _known.TryRemove(KeyValuePair.Create((limitation, model), since));
        return false;
    }

    public void Forget(string limitation, string model = "") => _known.TryRemove((limitation, model), out _);

    public void Add(string limitation, string model = "") => _known[(limitation, model)] = time.GetTimestamp();
}
