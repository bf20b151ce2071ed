using Fairlead.Policies.Matching;

namespace Fairlead.Policies;

/// <summary>The words of the wire and of the configuration for types, actions and directions.</summary>
internal static class PolicyWords
{
    public static readonly string[] Types = ["words", "regex", "personal_data", "secrets", "prompt_injection", "remote"];

    public static readonly string[] Actions = ["block", "redact", "flag"];

    public static readonly string[] Directions = ["input", "output", "both"];

    public static readonly string[] Failures = ["open", "closed"];

    public static string Of(PolicyRuleType type) => Types[(int)type];

    public static string Of(PolicyAction action) => Actions[(int)action];

    public static string Of(PolicyDirection direction) => Directions[(int)direction];

    public static string Of(PolicyFailure failure) => Failures[(int)failure];

    public static PolicyRuleType TypeOf(string word) => (PolicyRuleType)Array.IndexOf(Types, word);

    public static PolicyAction ActionOf(string word) => (PolicyAction)Array.IndexOf(Actions, word);

    public static PolicyDirection DirectionOf(string word) => (PolicyDirection)Array.IndexOf(Directions, word);

    public static PolicyFailure FailureOf(string word) => (PolicyFailure)Array.IndexOf(Failures, word);
}
