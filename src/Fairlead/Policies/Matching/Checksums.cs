namespace Fairlead.Policies.Matching;

/// <summary>Check digits of numbers.</summary>
internal static class Checksums
{
    private static readonly byte[][] DihedralProducts =
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 4, 0, 6, 7, 8, 9, 5], [2, 3, 4, 0, 1, 7, 8, 9, 5, 6], [3, 4, 0, 1, 2, 8, 9, 5, 6, 7],
        [4, 0, 1, 2, 3, 9, 5, 6, 7, 8], [5, 9, 8, 7, 6, 0, 4, 3, 2, 1], [6, 5, 9, 8, 7, 1, 0, 4, 3, 2], [7, 6, 5, 9, 8, 2, 1, 0, 4, 3],
        [8, 7, 6, 5, 9, 3, 2, 1, 0, 4], [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
    ];

    private static readonly byte[][] VerhoeffPermutations =
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 5, 7, 6, 2, 8, 3, 0, 9, 4], [5, 8, 0, 3, 7, 9, 6, 1, 4, 2], [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
        [9, 4, 5, 3, 1, 2, 6, 8, 7, 0], [4, 2, 8, 6, 5, 7, 3, 9, 0, 1], [2, 7, 9, 3, 8, 0, 6, 4, 1, 5], [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
    ];

    /// <summary>Luhn: ISO/IEC 7812-1, annex B.</summary>
    public static bool Luhn(ReadOnlySpan<byte> digits)
    {
        var sum = 0;
        for (var i = digits.Length - 1; i >= 0; i--)
        {
            int digit = digits[i];
            if (((digits.Length - i) & 1) == 0) digit = digit > 4 ? (digit * 2) - 9 : digit * 2;
            sum += digit;
        }
        return sum % 10 == 0;
    }

    /// <summary>Verhoeff's check digit over the dihedral group of order ten.</summary>
    public static bool Verhoeff(ReadOnlySpan<byte> digits)
    {
        var check = 0;
        for (var i = 0; i < digits.Length; i++) check = DihedralProducts[check][VerhoeffPermutations[i % 8][digits[^(i + 1)]]];
        return check == 0;
    }

    /// <summary>ISO/IEC 7064, MOD 11,10.</summary>
    public static bool Mod1110(ReadOnlySpan<byte> digits)
    {
        var product = 10;
        foreach (var digit in digits[..^1])
        {
            var sum = (digit + product) % 10;
            product = (sum == 0 ? 10 : sum) * 2 % 11;
        }
        return (11 - product) % 10 == digits[^1];
    }

    /// <summary>Sum of the digits times their weights. There are as many weights as digits or fewer.</summary>
    public static int Weighted(ReadOnlySpan<byte> digits, ReadOnlySpan<int> weights)
    {
        var sum = 0;
        for (var i = 0; i < weights.Length; i++) sum += digits[i] * weights[i];
        return sum;
    }

    /// <summary>The number that the digits form. At most 18 digits.</summary>
    public static long Number(ReadOnlySpan<byte> digits)
    {
        var number = 0L;
        foreach (var digit in digits) number = (number * 10) + digit;
        return number;
    }
}
