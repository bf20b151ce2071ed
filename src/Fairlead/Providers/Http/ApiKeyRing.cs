
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
    }

    /// <summary>The next header value, or null when the provider needs none.</summary>
    public string? Next() => _values.Length switch
    {
        0 => null,
        1 => _values[0],
        _ => _values[Interlocked.Increment(ref _next) % (uint)_values.Length],
    };
}
