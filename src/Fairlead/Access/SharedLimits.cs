namespace Fairlead.Access;

/// <summary>
/// Limits by their stored form: most organizations, projects and keys of a server have the same few, so equal forms share one object. They
/// keep it from snapshot to snapshot, and a reload parses only what is new. For one reader at a time.
/// </summary>
internal sealed class SharedLimits
{
    /// <summary>None are known.</summary>
    public static readonly SharedLimits Empty = new([]);

    private readonly Dictionary<string, LimitSet> _before;
    private readonly Dictionary<string, LimitSet> _read = new(StringComparer.Ordinal);

    private SharedLimits(Dictionary<string, LimitSet> before) => _before = before;

    /// <summary>For the next snapshot. Forms that it does not have are forgotten after it.</summary>
    public SharedLimits Next() => new(_read);

    /// <exception cref="System.Text.Json.JsonException">The form is not JSON.</exception>
    /// <exception cref="FormatException">The form is not a limits object.</exception>
    public LimitSet Of(string? stored)
    {
        if (stored is null) return LimitSet.None;
        if (_read.TryGetValue(stored, out var limits)) return limits;
        if (!_before.TryGetValue(stored, out limits)) limits = LimitSetJson.Parse(stored);
        _read[stored] = limits;
        return limits;
    }
}
