namespace Fairlead.Policies.Matching;

/// <summary>The policies of a call, ready to match: those of the organization first, then project, then key. Immutable and thread-safe.</summary>
internal sealed class CompiledPolicies
{
    /// <summary>No policies.</summary>
    public static CompiledPolicies Empty { get; } = new();

    /// <summary>Whether some rule looks at input.</summary>
    public bool HasInput => false;

    /// <summary>Whether some rule looks at output, so that streams need an <see cref="OutputGuard"/>.</summary>
    public bool HasOutput => false;

    /// <summary>Whether some rule of the output needs an <see cref="IWindowJudge"/>.</summary>
    public bool OutputNeedsJudge => false;

    /// <summary>Maximum characters that an <see cref="OutputGuard"/> holds back after a push.</summary>
    public int MaxHeldCharacters => 0;

    /// <summary>
    /// SHA-256 in hexadecimal of everything that decides what these policies do: ids, versions and all members of the rules, in order. Empty
    /// for no policies. Equal after a restart and on every node.
    /// </summary>
    public string Identity => "";

    /// <summary>All rules in order.</summary>
    public IReadOnlyList<PolicyRuleReference> Rules => [];

    /// <summary>Compiles policies. The earlier one comes first in results; all rules look at the original text, so none hides text from another.</summary>
    /// <exception cref="ArgumentException">A rule has a problem that <see cref="PolicyRuleCheck"/> reports.</exception>
    public static CompiledPolicies Compile(IReadOnlyList<PolicyDefinition> policies) => throw new NotImplementedException();

    /// <summary>Opens the check of the input texts of one call.</summary>
    public TextCheck CheckInput(PolicyTally tally, Placeholders placeholders) => throw new NotImplementedException();

    /// <summary>Opens the guard of one channel of an output.</summary>
    /// <param name="kind">How the text of the channel is read.</param>
    /// <param name="tally">Counts of the call.</param>
    /// <param name="placeholders">Placeholders of the call, which its input has already filled.</param>
    /// <param name="judge">Required if <see cref="OutputNeedsJudge"/>.</param>
    public OutputGuard GuardOutput(ChannelKind kind, PolicyTally tally, Placeholders placeholders, IWindowJudge? judge = null) =>
        throw new NotImplementedException();
}
