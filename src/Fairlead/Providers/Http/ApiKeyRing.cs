using Fairlead.Pipeline;
using Microsoft.Extensions.Logging;

namespace Fairlead.Providers.Http;

/// <summary>
/// A provider's API keys, used in turn. A key that the provider rejects is left out, and one request per minute tests it. A single key is
/// always used: then the provider's deployments fail, and their breakers open. Thread-safe.
/// </summary>
internal sealed class ApiKeyRing
{
    /// <summary>Time between two tests of a rejected key. An operator who replaces a key reloads the configuration, which starts anew.</summary>
    internal static readonly TimeSpan TestInterval = TimeSpan.FromMinutes(1);

    private readonly UpstreamKey[] _keys;
    private readonly string _provider;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private uint _next = uint.MaxValue;

    /// <param name="provider">Name of the provider, for the log.</param>
    /// <param name="config">Its single key and its list of keys; both may be set.</param>
    /// <param name="client">Its client, for clock and log.</param>
    /// <param name="prefix">Prefix of each key, such as <c>"Bearer "</c>.</param>
    public ApiKeyRing(string provider, ProviderConfig config, UpstreamClient client, string prefix = "")
    {
        (_provider, _time, _logger) = (provider, client.Time, client.Logger);
        _keys = [.. config.ApiKeys.Prepend(config.ApiKey)
            .Where(key => !string.IsNullOrWhiteSpace(key))
            .Select(key => key!.Trim())
            .Distinct(StringComparer.Ordinal)
            .Select((key, index) => new UpstreamKey(this, index, prefix + key))];
        Ids = Array.ConvertAll(_keys, key => key.Id);
    }

    /// <summary>A number for each key, the same as long as the process runs. It does not reveal the key.</summary>
    public int[] Ids { get; }

    /// <summary>
    /// The ids of those that may be used now, in the order of <see cref="Ids"/>; if none may, of the one that is tested next. Allocates
    /// nothing while no key is rejected.
    /// </summary>
    public int[] UsableIds
    {
        get
        {
            if (_keys.Length < 2) return Ids;
            var now = _time.GetTimestamp();
            var usable = 0;
            foreach (var key in _keys)
            {
                if (key.TestDue <= now) usable++;
            }
            if (usable == _keys.Length) return Ids;
            return usable == 0
                ? [_keys.MinBy(key => key.TestDue)!.Id]
                : [.. _keys.Where(key => key.TestDue <= now).Select(key => key.Id)];
        }
    }

    /// <summary>Adds the key of the next attempt to a request, which reports to it; nothing if the provider needs none.</summary>
    /// <param name="request">The request.</param>
    /// <param name="header">The header that holds it.</param>
    /// <param name="call">Its call, for which scheduling may have chosen the key that has room for it.</param>
    /// <param name="attempt">Gets the id of the key.</param>
    public void AddTo(UpstreamRequest request, string header, GatewayCall call, Attempt attempt)
    {
        if ((Chosen(call) ?? Next()) is not { } key) return;
        attempt.KeyId = key.Id;
        request.Key = key;
        request.Headers.TryAddWithoutValidation(header, key.Value);
    }

    private UpstreamKey? Chosen(GatewayCall call)
    {
        if (call.ProviderKey == 0 || _keys.Length < 2 || Array.IndexOf(Ids, call.ProviderKey) is not (>= 0 and var index)) return null;
        var now = _time.GetTimestamp();
        return _keys[index].MayBeUsed(now, AfterInterval(now)) ? _keys[index] : null;
    }

    /// <summary>The next key, or null when the provider needs none. If all were rejected, the one that is tested next.</summary>
    public UpstreamKey? Next()
    {
        if (_keys.Length < 2) return _keys.Length == 0 ? null : _keys[0];
        var start = Interlocked.Increment(ref _next);
        var now = _time.GetTimestamp();
        UpstreamKey? soonest = null;
        for (var i = 0u; i < _keys.Length; i++)
        {
            var key = _keys[(start + i) % (uint)_keys.Length];
            if (key.MayBeUsed(now, AfterInterval(now))) return key;
            if (soonest is null || key.TestDue < soonest.TestDue) soonest = key;
        }
        return soonest;
    }

    /// <summary>Leaves a key out. True if another one may be used now.</summary>
    internal bool Reject(UpstreamKey key)
    {
        if (_keys.Length < 2) return false;
        var now = _time.GetTimestamp();
        if (key.Reject(AfterInterval(now))) UpstreamLog.KeyRejected(_logger, _provider, key.Index + 1, _keys.Length);
        foreach (var other in _keys)
        {
            if (other.TestDue <= now) return true;
        }
        return false;
    }

    private long AfterInterval(long now) => now + (long)(TestInterval.TotalSeconds * _time.TimestampFrequency);
}

/// <summary>One API key of a provider. Thread-safe.</summary>
/// <param name="ring">All keys of the provider.</param>
/// <param name="index">Its place among them, from 0.</param>
/// <param name="value">The value of the header.</param>
internal sealed class UpstreamKey(ApiKeyRing ring, int index, string value)
{
    // 0 while it is not rejected.
    private long _testDue;

    /// <summary>Its place in the configuration, from 0.</summary>
    public int Index { get; } = index;

    /// <summary>Of the key itself and not of its place: a limit belongs to the key, also after a reload. Never 0, which means no key.</summary>
    public int Id { get; } = string.GetHashCode(value, StringComparison.Ordinal) is var hash and not 0 ? hash : 1;

    /// <summary>The value of the header. Secret.</summary>
    public string Value { get; } = value;

    /// <summary>Timestamp from which a request may use it; 0 while it is not rejected.</summary>
    internal long TestDue => Interlocked.Read(ref _testDue);

    /// <summary>The provider accepted it.</summary>
    public void Accepted()
    {
        if (TestDue != 0) Interlocked.Exchange(ref _testDue, 0);
    }

    /// <summary>The provider rejected it. True if another key may be used at once.</summary>
    public bool Rejected() => ring.Reject(this);

    /// <summary>Whether a request may use it. Of a rejected one, that uses up the test.</summary>
    internal bool MayBeUsed(long now, long nextTest)
    {
        var due = TestDue;
        return due == 0 || (now >= due && Interlocked.CompareExchange(ref _testDue, nextTest, due) == due);
    }

    /// <summary>True if it was not rejected before.</summary>
    internal bool Reject(long nextTest) => Interlocked.Exchange(ref _testDue, nextTest) == 0;
}
