using Fairlead.Policies.Matching;

namespace Fairlead.Policies.Checking;

/// <summary>The content policies of one call, and what they found in it. Thread-safe, apart from the setters.</summary>
/// <param name="rules">The policies that apply to its caller.</param>
/// <param name="judge">Judges for remote rules.</param>
internal sealed class CallPolicy(CompiledPolicies rules, IWindowJudge judge)
{
    /// <summary>The policies that apply to the caller.</summary>
    public CompiledPolicies Rules => rules;

    public IWindowJudge Judge => judge;

    /// <summary>What the rules met, in numbers.</summary>
    public PolicyTally Tally { get; init; } = new();

    /// <summary>What was redacted. It has content: it stays in the memory of the call.</summary>
    public Placeholders Placeholders { get; init; } = new();

    /// <summary>Whether the request was checked, so that another run of the stages does not check it again.</summary>
    public bool IsInputChecked { get; set; }

    /// <summary>Whether the output is read as text on its way, so that a provider's bytes cannot be forwarded as they are.</summary>
    public bool ReadsOutput => rules.HasOutput || Placeholders.HasRestorable;

    /// <summary>Whether the metrics have its counts.</summary>
    public bool IsMeasured { get; set; }
}
