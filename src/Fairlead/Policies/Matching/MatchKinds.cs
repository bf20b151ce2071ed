namespace Fairlead.Policies.Matching;

/// <summary>The closed lists of kinds that rules can name.</summary>
internal static class MatchKinds
{
    /// <summary>Kinds of personal data.</summary>
    public static readonly IReadOnlyList<string> PersonalData = ["email", "phone", "card", "iban", "national_id", "ip"];

    /// <summary>Kinds of secrets.</summary>
    public static readonly IReadOnlyList<string> Secrets = ["known_key", "private_key", "high_entropy"];
}
