namespace Fairlead.Policies.Matching;

/// <summary>What a check of an input text resulted in.</summary>
/// <param name="Block">Set if the call must end.</param>
/// <param name="NewText">The text with placeholders; null if it is unchanged or blocked.</param>
internal readonly record struct TextCheckResult(PolicyBlock? Block, string? NewText)
{
    public bool IsUnchanged => Block is null && NewText is null;
}

/// <summary>Checks the input texts of one call, one after the other. Not thread-safe.</summary>
internal sealed class TextCheck
{
    /// <summary>Whether some rule needs a judge: then <see cref="CheckAsync"/> must be used.</summary>
    public bool NeedsJudge => throw new NotImplementedException();

    /// <summary>Applies the local rules (all types except remote) to a text.</summary>
    public TextCheckResult Check(string text, ChannelKind kind = ChannelKind.Text) => throw new NotImplementedException();

    /// <summary>Applies the local rules, then asks the judge about the text that they left, for each remote rule in order.</summary>
    public ValueTask<TextCheckResult> CheckAsync(string text, ChannelKind kind, IWindowJudge judge, CancellationToken cancellationToken) =>
        throw new NotImplementedException();
}
