namespace Fairlead.Policies.Matching;

/// <summary>The form of a placeholder: <c>[LABEL_1]</c>.</summary>
internal static class PlaceholderText
{
    public const string Email = "EMAIL";
    public const string Phone = "PHONE";
    public const string Card = "CARD";
    public const string Iban = "IBAN";
    public const string NationalId = "NATIONAL_ID";
    public const string Ip = "IP";
    public const string Key = "KEY";
    public const string PrivateKey = "PRIVATE_KEY";
    public const string Secret = "SECRET";
    public const string Redacted = "REDACTED";

    /// <summary>Maximum length of a placeholder.</summary>
    public const int Longest = 20;

    private static readonly string[] Labels = [Email, Phone, Card, Iban, NationalId, Ip, Key, PrivateKey, Secret, Redacted];

    // Numbers up to Placeholders.MaxValues.
    private const int MaxDigits = 5;

    /// <summary>
    /// Length of the placeholder that the text starts with, 0 if it starts with none, -1 if it is the beginning of one. The number has no
    /// leading zero.
    /// </summary>
    public static int Measure(ReadOnlySpan<char> text)
    {
        if (text.IsEmpty || text[0] != '[') return 0;
        var isBeginning = false;
        foreach (var label in Labels)
        {
            var rest = text[1..];
            if (!rest.StartsWith(label, StringComparison.Ordinal))
            {
                isBeginning |= label.AsSpan().StartsWith(rest, StringComparison.Ordinal);
                continue;
            }
            rest = rest[label.Length..];
            if (rest.IsEmpty) return -1;
            if (rest[0] != '_') continue;
            rest = rest[1..];
            var digits = 0;
            while (digits < rest.Length && digits <= MaxDigits && char.IsAsciiDigit(rest[digits])) digits++;
            if (digits > MaxDigits || (digits > 0 && rest[0] == '0')) continue;
            if (digits == rest.Length) return -1;
            if (digits > 0 && rest[digits] == ']') return 1 + label.Length + 1 + digits + 1;
        }
        return isBeginning ? -1 : 0;
    }
}
