using Fairlead.Pipeline;

namespace Fairlead.Providers.Http;

/// <summary>A provider's API keys, used in turn. Thread-safe.</summary>
internal sealed class ApiKeyRing
{
    private readonly string[] _values;
    private uint _next = uint.MaxValue;

    /// <param name="config">Its single key and its list of keys; both may be set.</param>
    /// <param name="prefix">Prefix of each key, such as <c>"Bearer "</c>.</param>
    public ApiKeyRing(ProviderConfig config, string prefix = "")
    {
        _values = config.ApiKeys.Prepend(config.ApiKey)
            .Where(key => !string.IsNullOrWhiteSpace(key))
            .Select(key => key!.Trim())
            .Distinct(StringComparer.Ordinal)
            .Select(key => prefix + key)
            .ToArray();
        // Of the key itself and not of its position: a limit belongs to the key, also after a reload. 0 means no key.
        Ids = Array.ConvertAll(_values, key => string.GetHashCode(key, StringComparison.Ordinal) is var hash and not 0 ? hash : 1);
    }

    /// <summary>A number for each key, the same as long as the process runs. It does not reveal the key.</summary>
    public int[] Ids { get; }

    /// <summary>The header value of the next attempt: that of the key which has room for it, otherwise of the next key.</summary>
    /// <param name="call">Its call, for which scheduling may have chosen a key.</param>
    /// <param name="attempt">Gets the id of the key.</param>
    public string? Next(GatewayCall call, Attempt attempt)
    {
        if (_values.Length == 0) return null;
        var index = _values.Length == 1 ? 0 : call.ProviderKey == 0 ? -1 : Array.IndexOf(Ids, call.ProviderKey);
        if (index < 0) index = (int)(Interlocked.Increment(ref _next) % (uint)_values.Length);
        attempt.KeyId = Ids[index];
        return _values[index];
    }
}
