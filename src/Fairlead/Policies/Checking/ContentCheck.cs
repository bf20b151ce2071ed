using Fairlead.Policies.Matching;
using Fairlead.Streaming;

namespace Fairlead.Policies.Checking;

/// <summary>
/// Checks bodies of one call: 1. find the texts, 2. check each, 3. check neighbouring parts of a message as the one text that a model reads.
/// Remote rules judge all bodies together at the end. One owner, who disposes it.
/// </summary>
/// <param name="rules">The policies of the caller.</param>
/// <param name="tally">Counts of the call.</param>
/// <param name="placeholders">Placeholders of the call.</param>
internal sealed class ContentCheck(CompiledPolicies rules, PolicyTally tally, Placeholders placeholders) : IDisposable
{
    private readonly TextCheck _check = rules.CheckInput(tally, placeholders);

    /// <summary>Whether <see cref="JudgeAsync"/> asks someone.</summary>
    public bool NeedsJudge => _check.NeedsJudge;

    /// <summary>Checks a body. Returns its new bytes, null if it is unchanged, or the rule that blocks it.</summary>
    /// <param name="json">Valid JSON.</param>
    /// <param name="isOwn">Whether it is from the gateway's own storage.</param>
    /// <param name="write">Where the new body is written; called only if it changed.</param>
    public (PooledBuffer? Body, PolicyBlock? Block) Check(ReadOnlySpan<byte> json, bool isOwn, Func<PooledBuffer> write)
    {
        // 1.
        var texts = ContentReader.Read(json);
        var changes = new (ContentText Old, string New)?[texts.Count];
        var isChanged = false;
        for (var i = 0; i < texts.Count;)
        {
            var end = EndOfGroup(texts, i);
            var before = end - i > 1 ? tally.Counts() : [];

            // 2.
            for (var at = i; at < end; at++)
            {
                var (change, block) = Check(texts[at], isOwn);
                if (block is not null) return (null, block);
                changes[at] = change;
                isChanged |= change is not null;
            }

            // 3.
            if (end - i > 1)
            {
                var parts = new string[end - i];
                for (var at = i; at < end; at++) parts[at - i] = changes[at]?.New ?? texts[at].Value;
                var (block, joined) = _check.CheckJoined(parts, before);
                if (block is not null) return (null, block);
                for (var at = i; joined is not null && at < end; at++)
                {
                    changes[at] = (texts[at], joined.PartAt(at - i));
                    isChanged = true;
                }
            }
            i = end;
        }
        if (!isChanged) return (null, null);
        var body = write();
        try
        {
            ContentWriter.Write(json, [.. changes.Where(change => change is not null).Select(change => change!.Value)], body);
        }
        catch
        {
            body.Dispose();
            throw;
        }
        return (body, null);
    }

    /// <summary>Asks the remote rules about all bodies so far.</summary>
    public ValueTask<PolicyBlock?> JudgeAsync(IWindowJudge judge, TimeProvider time, CancellationToken cancellationToken) =>
        _check.JudgeAsync(judge, time, cancellationToken);

    public void Dispose() => _check.Dispose();

    private static int EndOfGroup(List<ContentText> texts, int start)
    {
        var end = start + 1;
        if (texts[start].Group == 0) return end;
        while (end < texts.Count && texts[end].Group == texts[start].Group) end++;
        return end;
    }

    private ((ContentText Old, string New)? Change, PolicyBlock? Block) Check(in ContentText text, bool isOwn)
    {
        // Base64 may be a key and no file.
        if (text.Raw is { } raw)
        {
            var asText = _check.Check(raw, ChannelKind.Text, isOwn);
            if (asText.Block is not null) return (null, asText.Block);
            if (asText.NewText is { } replaced) return ((text with { Form = ContentForm.Text }, replaced), null);
        }
        string? prefix = null;
        if (text.Prefix.Length > 0)
        {
            var before = _check.Check(text.Prefix, ChannelKind.Text, isOwn);
            if (before.Block is not null) return (null, before.Block);
            prefix = before.NewText;
        }
        var found = _check.Check(text.Value, text.Kind, isOwn);
        if (found.Block is not null) return (null, found.Block);
        if (text.IsFixed) return (null, found.RedactedBy is { } rule ? new PolicyBlock(rule) : null);
        if (found.NewText is null && prefix is null) return default;
        return ((prefix is null ? text : text with { Prefix = prefix }, found.NewText ?? text.Value), null);
    }
}
