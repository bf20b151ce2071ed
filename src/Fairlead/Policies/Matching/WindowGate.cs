using System.Buffers;

namespace Fairlead.Policies.Matching;

/// <summary>
/// Holds the text that the local rules let through until the rules that judge windows have seen it. Each rule has windows of its own
/// length, which overlap by a quarter. Text passes when every window that contains it has its verdict. One owner.
/// </summary>
/// <param name="rules">The rules of the direction.</param>
/// <param name="judges">Those that judge here.</param>
/// <param name="kind">How the text is read.</param>
/// <param name="tally">Counts of the call.</param>
/// <param name="judge">For remote rules.</param>
internal sealed class WindowGate(
    DirectionRules rules, IReadOnlyList<PolicyRuleReference> judges, ChannelKind kind, PolicyTally tally, IWindowJudge? judge)
{
    private readonly ArrayBufferWriter<char> _text = new(1024);
    private readonly int[] _starts = new int[judges.Count];
    private readonly int[] _judged = new int[judges.Count];

    // Positions count from the first character that is still in the buffer.
    private int _passed;

    /// <summary>Takes the text to hold.</summary>
    public IBufferWriter<char> Input => _text;

    /// <summary>Characters that are held back.</summary>
    public int Held => _text.WrittenCount - _passed;

    /// <summary>Judges the windows that are complete, or all that is left, and writes what may leave.</summary>
    public async ValueTask<PolicyBlock?> AdvanceAsync(IBufferWriter<char> output, bool isFinal, CancellationToken cancellationToken)
    {
        while (NextWindow(isFinal) is var (start, end) && end > 0)
        {
            var block = await JudgeAsync(start, end, isFinal, cancellationToken);
            if (block is not null) return block;
            Pass(output, isFinal);
        }
        Pass(output, isFinal);
        return null;
    }

    /// <summary>The window that ends first; an end of 0 if none is complete.</summary>
    private (int Start, int End) NextWindow(bool isFinal)
    {
        var (start, end) = (0, 0);
        for (var i = 0; i < _starts.Length; i++)
        {
            var windowEnd = EndOf(i, isFinal);
            if (windowEnd == 0 || (end > 0 && windowEnd > end)) continue;
            if (windowEnd == end && _starts[i] >= start) continue;
            (start, end) = (_starts[i], windowEnd);
        }
        return (start, end);
    }

    private int EndOf(int index, bool isFinal)
    {
        var end = _starts[index] + judges[index].Rule.WindowCharacters;
        if (end > _text.WrittenCount) return isFinal && _judged[index] < _text.WrittenCount ? _text.WrittenCount : 0;
        return char.IsHighSurrogate(_text.WrittenSpan[end - 1]) ? end - 1 : end;
    }

    private async ValueTask<PolicyBlock?> JudgeAsync(int start, int end, bool isFinal, CancellationToken cancellationToken)
    {
        var text = JudgedText.Of(_text.WrittenSpan[start..end], kind);
        var verdicts = new (int Index, Task<JudgeVerdict> Verdict)[judges.Count];
        var count = 0;
        for (var i = 0; i < _starts.Length; i++)
        {
            if (_starts[i] != start || EndOf(i, isFinal) != end) continue;
            verdicts[count++] = (i, JudgedText.JudgeAsync(judges[i], rules.ViewOf(judges[i], text), judge, cancellationToken).AsTask());
        }
        PolicyBlock? block = null;
        for (var i = 0; i < count; i++)
        {
            // Await all, also after a block: a judge must not run on unobserved.
            var verdict = await verdicts[i].Verdict;
            if (block is not null) continue;
            block = JudgedText.Apply(judges[verdicts[i].Index], verdict, rules.Direction, tally);
            var index = verdicts[i].Index;
            _judged[index] = end;
            var window = judges[index].Rule.WindowCharacters;
            if (end < start + window - 1) continue;
            _starts[index] = StartAfter(start + window - (window / 4));
        }
        return block;
    }

    private int StartAfter(int position) =>
        position < _text.WrittenCount && char.IsLowSurrogate(_text.WrittenSpan[position]) && char.IsHighSurrogate(_text.WrittenSpan[position - 1])
            ? position - 1 : position;

    private void Pass(IBufferWriter<char> output, bool isFinal)
    {
        var limit = _text.WrittenCount;
        for (var i = 0; i < _starts.Length; i++)
        {
            if (!isFinal || _judged[i] < _text.WrittenCount) limit = Math.Min(limit, _starts[i]);
        }
        if (limit > _passed)
        {
            output.Write(_text.WrittenSpan[_passed..limit]);
            _passed = limit;
        }
        Trim();
    }

    private void Trim()
    {
        if (_passed < 1024 || _passed < _text.WrittenCount / 2) return;
        // One character stays: a window may start in the middle of a pair.
        var dropped = _passed - 1;
        var rest = _text.WrittenSpan[dropped..].ToArray();
        _text.ResetWrittenCount();
        _text.Write(rest);
        _passed -= dropped;
        for (var i = 0; i < _starts.Length; i++)
        {
            _starts[i] -= dropped;
            _judged[i] -= dropped;
        }
    }
}
