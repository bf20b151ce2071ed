using System.Globalization;

namespace Fairlead.Conversation;

/// <summary>
/// Amounts in whole picodollars (10⁻¹² USD), in which any price with up to six decimals a million tokens gives whole numbers, and a
/// 64-bit integer holds nine million dollars. Sums beyond that are taken in <see cref="decimal"/>.
/// </summary>
internal static class Money
{
    private const decimal Pico = 1_000_000_000_000m;

    /// <summary>Rounded half to even below a picodollar; an amount beyond the range is its end.</summary>
    public static long ToPico(decimal usd)
    {
        if (usd >= long.MaxValue / Pico) return long.MaxValue;
        if (usd <= long.MinValue / Pico) return long.MinValue;
        return (long)Math.Round(usd * Pico, MidpointRounding.ToEven);
    }

    /// <summary>
    /// The sum; beyond the range, its end. Only a broken provider's numbers get there, and they must not keep others from being
    /// written.
    /// </summary>
    public static long Add(long left, long right) => right > 0 && left > long.MaxValue - right ? long.MaxValue : left + right;

    public static decimal FromPico(long pico) => Trim(pico / Pico);

    /// <summary>The same amount without zeros at its end, as JSON shows it.</summary>
    public static decimal Trim(decimal usd) => usd == 0 ? 0 : usd / 1.0000000000000000000000000000m;

    /// <summary>Reads what <see cref="Trim"/> wrote.</summary>
    public static decimal Parse(ReadOnlySpan<byte> utf8) => decimal.Parse(utf8, NumberStyles.Float, CultureInfo.InvariantCulture);
}
