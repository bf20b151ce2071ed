namespace Fairlead.Policies.Matching;

/// <summary>The closed lists of kinds that rules can name.</summary>
internal static class MatchKinds
{
    public const string Email = "email";
    public const string Phone = "phone";
    public const string Card = "card";
    public const string Iban = "iban";
    public const string NationalId = "national_id";
    public const string Ip = "ip";
    public const string KnownKey = "known_key";
    public const string PrivateKey = "private_key";
    public const string HighEntropy = "high_entropy";

    /// <summary>Kinds of personal data. Where two kinds match the same text, the earlier one names the placeholder.</summary>
    public static readonly IReadOnlyList<string> PersonalData = [Email, Card, Iban, NationalId, Phone, Ip];

    /// <summary>Kinds of secrets.</summary>
    public static readonly IReadOnlyList<string> Secrets = [PrivateKey, KnownKey, HighEntropy];

    /// <summary>The matchers of a kind, with the label of its placeholders.</summary>
    /// <param name="kind">One of the lists above.</param>
    /// <param name="longest">Longest match of high-entropy secrets.</param>
    public static (TextMatcher[] Matchers, string Label) MatchersOf(string kind, int longest) => kind switch
    {
        Email => ([new EmailMatcher()], PlaceholderText.Email),
        Phone => ([new PhoneMatcher()], PlaceholderText.Phone),
        Card => ([new CardMatcher()], PlaceholderText.Card),
        Iban => ([new IbanMatcher()], PlaceholderText.Iban),
        NationalId => ([new NationalIdMatcher()], PlaceholderText.NationalId),
        Ip => ([new IpV4Matcher(), new IpV6Matcher()], PlaceholderText.Ip),
        KnownKey => ([new KnownKeyMatcher(), new NamedKeyMatcher()], PlaceholderText.Key),
        PrivateKey => ([new PrivateKeyMatcher()], PlaceholderText.PrivateKey),
        HighEntropy => ([new EntropyMatcher(longest)], PlaceholderText.Secret),
        _ => throw new ArgumentException($"No kind: {kind}", nameof(kind)),
    };
}
