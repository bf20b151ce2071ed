using System.Buffers;
using Fairlead.Pipeline;
using Fairlead.Policies.Checking;
using Fairlead.Policies.Matching;
using Fairlead.Streaming;

namespace Fairlead.Auditing.Content;

/// <summary>
/// Redacts personal data and secrets of all kinds, beside what the content policies of the call have redacted before. One call; disposed by
/// its owner.
/// </summary>
internal sealed class ContentRedaction : IDisposable
{
    /// <summary>Longer than every match, so that half of one is at the end of a text that was cut.</summary>
    public const int LongestMatch = PrivateKeyMatcher.Longest + 128;

    private static readonly Lazy<CompiledPolicies> Rules = new(() => CompiledPolicies.Compile(
    [
        new PolicyDefinition("audit", "audit", 1,
        [
            new PolicyRule { Id = "personal_data", Type = PolicyRuleType.PersonalData, Action = PolicyAction.Redact },
            new PolicyRule { Id = "secrets", Type = PolicyRuleType.Secrets, Action = PolicyAction.Redact },
        ]),
    ]));

    // Names of members of the APIs have no others.
    private static readonly SearchValues<char> PlainName = SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_$-");

    private const int LongestPlainName = 40;

    private readonly Placeholders _placeholders;
    private readonly TextCheck _check;

    public ContentRedaction(GatewayCall call)
    {
        // What the policies have redacted keeps its number.
        _placeholders = call.Policy?.Placeholders.Copy() ?? new Placeholders();
        _check = Rules.Value.CheckInput(new PolicyTally(), _placeholders);
    }

    /// <summary>The text without what is redacted.</summary>
    public string Apply(string text, ChannelKind kind = ChannelKind.Text) => _check.Check(text, kind, isOwn: true).NewText ?? text;

    /// <summary>
    /// The texts without what is redacted when they are read as one, so also what reaches from one into another. A placeholder is where its
    /// value starts. What is only a value if it is read alone is still there.
    /// </summary>
    /// <param name="texts">Texts that are one text to a reader.</param>
    public string[] ApplyJoined(string[] texts)
    {
        if (texts.Length < 2 || _check.CheckJoined(texts, []).Parts is not { } joined) return texts;
        return [.. Enumerable.Range(0, texts.Length).Select(joined.PartAt)];
    }

    /// <summary>The same for the name of a member.</summary>
    public string ApplyToName(string name) =>
        name.Length <= LongestPlainName && !name.AsSpan().ContainsAnyExcept(PlainName) ? name : Apply(name);

    /// <summary>The body of a request without what is redacted; null if it cannot be redacted.</summary>
    /// <param name="body">Valid JSON; the caller keeps it.</param>
    /// <param name="redacted">The new body, which the caller disposes; null if it is unchanged.</param>
    /// <returns>False if something in it cannot be redacted, such as the name of a tool.</returns>
    public bool TryApply(ReadOnlySpan<byte> body, out PooledBuffer? redacted)
    {
        using var check = new ContentCheck(Rules.Value, new PolicyTally(), _placeholders);
        var length = body.Length;
        (redacted, var block) = check.Check(body, isOwn: true, () => new PooledBuffer(length + 256));
        return block is null;
    }

    public void Dispose() => _check.Dispose();
}
