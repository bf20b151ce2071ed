using System.Collections.Concurrent;

namespace Fairlead.TokenCounting;

/// <summary>
/// Learned ratios of reported to estimated tokens, by model and, for models not yet seen, by family. Thread-safe; limited in number.
/// </summary>
internal sealed class Calibration
{
    private const int MaxEntries = 4096;

    // After this many responses a model uses its own ratio; before that, its family's.
    private const int Enough = 5;

    private const double Least = 0.25;
    private const double Most = 4;

    private readonly ConcurrentDictionary<string, Ratio> _ratios = new(StringComparer.Ordinal);

    /// <summary>The correction factor of an estimate; 1 while nothing is known.</summary>
    public double FactorFor(string model, string family)
    {
        var own = _ratios.GetValueOrDefault($"model:{model}");
        if (own is { Count: >= Enough }) return own.Value;
        return _ratios.GetValueOrDefault($"family:{family}") is { Count: > 0 } shared ? shared.Value : 1;
    }

    /// <summary>Learns from one response.</summary>
    /// <param name="model">Its model.</param>
    /// <param name="family">The family of its vocabulary.</param>
    /// <param name="ratio">Reported tokens divided by the uncorrected estimate.</param>
    public void Learn(string model, string family, double ratio)
    {
        // No vocabulary differs from an estimate by more. A report that does is wrong, and nothing is learned from it.
        if (!(ratio >= Least) || ratio > Most) return;
        Find($"model:{model}")?.Learn(ratio);
        Find($"family:{family}")?.Learn(ratio);
    }

    private Ratio? Find(string key) =>
        _ratios.TryGetValue(key, out var ratio) ? ratio : _ratios.Count >= MaxEntries ? null
            : _ratios.GetOrAdd(key, static _ => new Ratio());

    private sealed class Ratio
    {
        private readonly Lock _gate = new();
        private double _value = 1;
        private int _count;

        public int Count => Volatile.Read(ref _count);

        public double Value => Volatile.Read(ref _value);

        public void Learn(double ratio)
        {
            lock (_gate)
            {
                // Once a ratio is established, a single unusual response can move it only so far.
                if (_count >= Enough) ratio = Math.Clamp(ratio, _value / 1.5, _value * 1.5);
                // The mean of the first responses; after that, each new one counts for a twentieth.
                var weight = Math.Max(0.05, 1.0 / (_count + 1));
                Volatile.Write(ref _value, _value + (weight * (ratio - _value)));
                if (_count < int.MaxValue) Volatile.Write(ref _count, _count + 1);
            }
        }
    }
}
