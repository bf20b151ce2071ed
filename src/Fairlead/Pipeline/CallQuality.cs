namespace Fairlead.Pipeline;

/// <summary>Signals of how good a response is: Fairlead's own and those of an app's pipeline. Thread-safe.</summary>
public sealed class CallQuality
{
    private readonly Lock _gate = new();
    private Dictionary<string, double>? _own;

    /// <summary>Whether the output satisfied the requested schema; null if none was requested or nothing was checked.</summary>
    internal bool? SchemaValid { get; set; }

    /// <summary>Sets a signal of the app, such as <c>groundedness</c>. The last value counts.</summary>
    /// <param name="signal">1 to 64 characters; a name of Fairlead's own signals is refused.</param>
    /// <param name="value">A finite number.</param>
    /// <exception cref="ArgumentException">The name has another form, is Fairlead's own, or the value is not finite.</exception>
    public void Set(string signal, double value)
    {
        ArgumentException.ThrowIfNullOrEmpty(signal);
        if (signal.Length > 64) throw new ArgumentException("A signal's name has at most 64 characters.", nameof(signal));
        if (signal is "finish_reason" or "schema_valid" or "mean_logprob" or "policy")
        {
            throw new ArgumentException($"The signal '{signal}' is Fairlead's own.", nameof(signal));
        }
        if (!double.IsFinite(value)) throw new ArgumentException("A signal is a finite number.", nameof(value));
        lock (_gate)
        {
            _own ??= [];
            if (_own.Count >= 32 && !_own.ContainsKey(signal)) return;
            _own[signal] = value;
        }
    }

    internal IReadOnlyList<KeyValuePair<string, double>> Own
    {
        get
        {
            if (_own is null) return [];
            lock (_gate) return [.. _own];
        }
    }
}
