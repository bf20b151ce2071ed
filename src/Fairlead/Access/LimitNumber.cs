using System.Globalization;

namespace Fairlead.Access;

/// <summary>
/// The numbers that one member of the limits object accepts. They are read exactly, from the text as written: nothing is rounded.
/// Immutable; thread-safe.
/// </summary>
internal sealed class LimitNumber
{
    /// <summary>
    /// The largest count: JSON readers with 64-bit floating point still read it exactly, and 60 times as much fits into 64 bits.
    /// </summary>
    public const long MaxCount = 1_000_000_000_000_000;

    /// <summary>A count of which zero would stop every call: a rate, concurrency, or tokens of one request.</summary>
    public static readonly LimitNumber Count = new(1, MaxCount, decimals: 0);

    /// <summary>Tokens of a period; zero means that nothing may be used.</summary>
    public static readonly LimitNumber Tokens = new(0, MaxCount, decimals: 0);

    /// <summary>US dollars of a period, to the picodollar; zero means that nothing may be used.</summary>
    public static readonly LimitNumber Usd = new(0, 9_000_000, decimals: 12);

    /// <summary>Minutes of a rate that can be saved up.</summary>
    public static readonly LimitNumber Burst = new(0.1m, 60, decimals: 6);

    /// <summary>The smallest factor of an elastic limit.</summary>
    public static readonly LimitNumber ElasticMin = new(0.01m, 1, decimals: 6);

    /// <summary>The largest factor of an elastic limit.</summary>
    public static readonly LimitNumber ElasticMax = new(1, 100, decimals: 6);

    /// <summary>The weight of an organization.</summary>
    public static readonly LimitNumber Weight = new(0.01m, 1000, decimals: 6);

    private readonly decimal _unit;

    private LimitNumber(decimal min, decimal max, int decimals)
    {
        Min = min;
        Max = max;
        Decimals = decimals;
        _unit = 1;
        for (var i = 0; i < decimals; i++) _unit *= 10;
    }

    /// <summary>The smallest accepted value.</summary>
    public decimal Min { get; }

    /// <summary>The largest accepted value.</summary>
    public decimal Max { get; }

    /// <summary>How many decimals are accepted; 0 for whole numbers.</summary>
    public int Decimals { get; }

    /// <summary>A valid value, as the end of "Must be …" or "Write …".</summary>
    public string Expected => string.Create(CultureInfo.InvariantCulture,
        $"a {(Decimals == 0 ? "whole number" : "number")} from {Min} to {Max}")
        + (Decimals == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $" with at most {Decimals} decimals"));

    /// <summary>The value in units of its last decimal, such as picodollars, as the decimal that it is.</summary>
    public decimal ToDecimal(long units) => units / _unit;

    /// <summary>The opposite of <see cref="ToDecimal"/>, for a value in range.</summary>
    public long ToUnits(decimal value) => (long)(value * _unit);

    /// <summary>Whether a stored number is in range.</summary>
    public bool Accepts(long units) => units >= Min * _unit && units <= Max * _unit;

    /// <summary>Reads a number in the notation of JSON, with or without exponent, into units of its last decimal.</summary>
    /// <param name="text">The number as written.</param>
    /// <param name="units">Picodollars for <see cref="Usd"/>, whole numbers for counts.</param>
    /// <param name="problem">What is wrong, as one sentence; empty when nothing is.</param>
    public bool TryRead(ReadOnlySpan<char> text, out long units, out string problem)
    {
        units = 0;
        var rest = text;
        var isNegative = rest.StartsWith("-");
        if (isNegative) rest = rest[1..];
        var exponent = 0L;
        if (rest.IndexOfAny('e', 'E') is >= 0 and var at)
        {
            if (!TryReadExponent(rest[(at + 1)..], out exponent)) return Fails("Not a number.", out problem);
            rest = rest[..at];
        }
        var whole = rest;
        var fraction = ReadOnlySpan<char>.Empty;
        if (rest.IndexOf('.') is >= 0 and var point)
        {
            whole = rest[..point];
            fraction = rest[(point + 1)..];
            if (fraction.IsEmpty) return Fails("Not a number.", out problem);
        }
        if (whole.IsEmpty || whole.ContainsAnyExceptInRange('0', '9') || fraction.ContainsAnyExceptInRange('0', '9'))
            return Fails("Not a number.", out problem);

        // The value is `digits` × 10^`power` units.
        var digits = string.Concat(whole, fraction).AsSpan().TrimStart('0');
        var power = exponent - fraction.Length + Decimals;
        var significant = digits.TrimEnd('0');
        power += digits.Length - significant.Length;
        if (significant.IsEmpty)
        {
            problem = Accepts(0) ? "" : "Out of range.";
            return Accepts(0);
        }
        if (isNegative) return Fails("Out of range.", out problem);
        if (power < 0)
        {
            return Fails(Decimals == 0 ? "Not a whole number."
                : string.Create(CultureInfo.InvariantCulture, $"More than {Decimals} decimals."), out problem);
        }
        // More digits than a 64-bit number has.
        if (significant.Length + power > 19) return Fails("Out of range.", out problem);
        var value = decimal.Parse(significant, NumberStyles.None, CultureInfo.InvariantCulture);
        for (; power > 0; power--) value *= 10;
        if (value > Max * _unit || value < Min * _unit) return Fails("Out of range.", out problem);
        units = (long)value;
        problem = "";
        return true;
    }

    private static bool TryReadExponent(ReadOnlySpan<char> text, out long exponent)
    {
        exponent = 0;
        var isNegative = text.StartsWith("-");
        var digits = text.StartsWith("-") || text.StartsWith("+") ? text[1..] : text;
        if (digits.IsEmpty || digits.ContainsAnyExceptInRange('0', '9')) return false;
        // An exponent of many digits is far out of range, or far below the last decimal, like this one.
        if (!int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var size)) size = int.MaxValue;
        exponent = isNegative ? -(long)size : size;
        return true;
    }

    private static bool Fails(string reason, out string problem)
    {
        problem = reason;
        return false;
    }
}
