using System.Collections.Concurrent;

namespace Fairlead.TokenCounting;

/// <summary>
/// Learned ratios of reported to guessed tokens, by model and, for models not yet seen, by family. Thread-safe; bounded in number.
/// </summary>
internal sealed class Calibration
{
    private const int MaxEntries = 4096;

    // A model speaks for itself after this many answers; before, its family does.
    private const int Enough = 5;

    private const double Least = 0.25;
    private const double Most = 4;

    private readonly ConcurrentDictionary<string, Ratio> _ratios = new(StringComparer.Ordinal);

    /// <summary>What a guess is to be multiplied by; 1 while nothing is known.</summary>
    public double FactorFor(string model, string family)
    {
        var own = _ratios.GetValueOrDefault($"model:{model}");
        if (own is { Count: >= Enough }) return own.Value;
        return _ratios.GetValueOrDefault($"family:{family}") is { Count: > 0 } shared ? shared.Value : 1;
    }

    /// <summary>Takes in one answer.</summary>
    /// <param name="model">Its model.</param>
    /// <param name="family">The family of its vocabulary.</param>
    /// <param name="ratio">Reported tokens by those guessed without any correction.</param>
    public void Learn(string model, string family, double ratio)
    {
        // No vocabulary differs from a guess by more. A report that does is wrong, and nothing is learned from it.
        if (!(ratio >= Least) || ratio > Most) return;
        Find($"model:{model}")?.Learn(ratio);
        Find($"family:{family}")?.Learn(ratio);
    }

    private Ratio? Find(string key) =>
        _ratios.TryGetValue(key, out var ratio) ? ratio : _ratios.Count >= MaxEntries ? null : _ratios.GetOrAdd(key, static _ => new Ratio());

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
                // Once something is known, a single odd answer can move it only so far.
                if (_count >= Enough) ratio = Math.Clamp(ratio, _value / 1.5, _value * 1.5);
                // The mean of the first ones, then each new one by a twentieth.
                var weight = Math.Max(0.05, 1.0 / (_count + 1));
                Volatile.Write(ref _value, _value + (weight * (ratio - _value)));
                if (_count < int.MaxValue) Volatile.Write(ref _count, _count + 1);
            }
        }
    }
}
