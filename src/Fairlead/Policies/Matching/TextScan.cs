using System.Buffers;

namespace Fairlead.Policies.Matching;

/// <summary>
/// Applies the local rules of one direction to one text that arrives in chunks, or to several texts one after the other.
/// 1. The matchers of rules that block or redact search as far as they can. Together they know every match before a frontier.
/// 2. Matches before the frontier are applied in the order of the text: a block ends the text at its start, a redaction replaces it.
/// 3. The text before the frontier passes.
/// 4. The matchers of rules that only count search in what has passed: their results do not depend on text after a block.
/// All rules look at the original text. Where redactions overlap, the second one replaces what the first one left. One owner.
/// </summary>
internal sealed class TextScan(DirectionRules rules, PolicyTally tally, Placeholders placeholders) : IDisposable
{
    /// <summary>Maximum length of a number or literal of JSON that is replaced as a whole.</summary>
    public const int LongestBare = 64;

    private readonly MatchQueue _holding = new(rules.Holding);
    private readonly MatchQueue _flagging = new(rules.Flagging);
    private readonly FoldedText _folded = new();
    private readonly RawText _raw = new();
    private readonly Dictionary<PolicyRuleReference, long> _counted = [];

    private char[] _text = ArrayPool<char>.Shared.Rent(512);
    private int _length;
    private int _passed;
    private long _dropped;
    private bool _isBare;

    private ReadOnlySpan<char> Text => _text.AsSpan(0, _length);

    /// <summary>The first rule that redacted something; set to null to start over.</summary>
    public PolicyRuleReference? Redacted { get; set; }

    /// <summary>Whether placeholders of this call pass: the text is the gateway's own, such as an earlier turn.</summary>
    public bool KnowsPlaceholders { get; set; }

    /// <summary>Whether nothing was added to the present text.</summary>
    public bool IsEmpty => _length == 0;

    /// <summary>Characters that are held back, as written.</summary>
    public int Held => _passed >= _length ? 0 : _raw.LengthFrom(_length, _passed);

    /// <summary>Starts another text.</summary>
    /// <param name="isBare">It is between the strings of JSON: redactions replace whole numbers or literals by a string.</param>
    public void Start(bool isBare)
    {
        _isBare = isBare;
        if (_length == 0) return;
        _holding.Clear();
        _flagging.Clear();
        _folded.Clear();
        _raw.Clear();
        _counted.Clear();
        _length = _passed = 0;
        _dropped = 0;
    }

    /// <summary>Adds characters that are written as they are.</summary>
    public void Append(ReadOnlySpan<char> text)
    {
        Reserve(text.Length);
        _raw.Add(text);
        text.CopyTo(_text.AsSpan(_length));
        _length += text.Length;
    }

    /// <summary>Adds a character that is written as an escape.</summary>
    public void AppendEscaped(char c, ReadOnlySpan<char> written)
    {
        Reserve(1);
        _raw.AddEscaped(Text, written);
        _text[_length++] = c;
    }

    /// <summary>Passes on what can pass. Returns the rule that ends the text, if one does.</summary>
    public PolicyRuleReference? Advance(TextSink sink, bool isFinal)
    {
        _folded.Extend(Text, isFinal);
        _holding.Advance(Text, _folded, isFinal);
        while (_holding.TryPeek(out var match))
        {
            var slot = rules.Holding[match.Slot];
            if (slot.Action == PolicyAction.Block)
            {
                if (IsBlank(match))
                {
                    _holding.Take();
                    continue;
                }
                Pass(match.Start, sink, isFinal);
                tally.Add(slot.Rule!, rules.Direction);
                CountFlags(Math.Min(match.Start, _length), isFinal: true);
                return slot.Rule;
            }
            if (!TryRedact(match, slot, sink, isFinal)) break;
        }
        var limit = Math.Min(_holding.Frontier, _length);
        if (_holding.TryPeek(out var next)) limit = Math.Min(limit, next.Start);
        Pass(isFinal ? limit : StartOfToken(limit), sink, isFinal);
        if (rules.Flagging.Length > 0) CountFlags(isFinal ? _length : Math.Min(_passed, Math.Min(_holding.Frontier, _length)), isFinal);
        if (!isFinal) Trim();
        return null;
    }

    public void Dispose()
    {
        if (_text.Length == 0) return;
        ArrayPool<char>.Shared.Return(_text, clearArray: true);
        _text = [];
        _length = _passed = 0;
    }

    /// <summary>Replaces a match. False if more text must be known first.</summary>
    private bool TryRedact(TextMatch match, MatchSlot slot, TextSink sink, bool isFinal)
    {
        var (start, end, isWhole) = (Math.Max(match.Start, _passed), match.End, false);
        if (IsBlank(match))
        {
            _holding.Take();
            return true;
        }
        if (_isBare && !TryWiden(ref start, ref end, isFinal, out isWhole)) return false;
        WidenToPairs(ref start, ref end);
        // The model may repeat placeholders of its input: readers get their values.
        if (slot.Rule is null && match.Start >= _passed && IsOwn(Text[match.Start..match.End]))
        {
            _holding.Take();
            return true;
        }
        // A value that the model made itself is not the reader's: it did not send it.
        var isRestorable = slot.IsRestorable && (slot.Rule is null || rules.Direction == PolicyDirection.Input
            || (start < end && placeholders.IsFromInput(slot.Label, Text[start..end])));
        if (isRestorable && rules.WaitsForOverlaps)
        {
            if (_holding.Frontier < end) return false;
            isRestorable = !_holding.AnyBefore(end, static other => !other.IsRestorable);
        }
        _holding.Take();
        Pass(start, sink, isFinal);
        if (slot.Rule is { } rule)
        {
            Count(rule, match);
            Redacted ??= rule;
        }
        if (_passed >= end) return true;
        sink.Drop(_raw.Of(Text, _passed, end).Length);
        var placeholder = placeholders.TextOf(slot.Label, Text[_passed..end], isRestorable, isWhole, rules.Direction);
        if (isWhole) sink.Replace("\"");
        sink.Replace(placeholder);
        if (isWhole) sink.Replace("\"");
        _passed = end;
        return true;
    }

    private bool IsOwn(ReadOnlySpan<char> placeholder)
    {
        if (KnowsPlaceholders) return placeholders.IsIssued(placeholder);
        return rules.Direction == PolicyDirection.Output && placeholders.TryGetValue(placeholder, out var repeated) && repeated.IsFromInput;
    }

    // A match inside of an earlier one of the same rule is the same find.
    private void Count(PolicyRuleReference rule, TextMatch match)
    {
        var end = _dropped + match.End;
        if (_counted.TryGetValue(rule, out var last) && end <= last) return;
        _counted[rule] = end;
        tally.Add(rule, rules.Direction);
    }

    private void CountFlags(int limit, bool isFinal)
    {
        if (rules.Flagging.Length == 0) return;
        _flagging.Advance(Text[..limit], _folded, isFinal);
        while (_flagging.TryPeek(out var match))
        {
            if (!IsBlank(match)) Count(rules.Flagging[match.Slot].Rule!, match);
            _flagging.Take();
        }
    }

    private void Pass(int limit, TextSink sink, bool isFinal)
    {
        var isHalf = limit > 0 && limit <= _length && char.IsHighSurrogate(_text[limit - 1])
            && (limit < _length ? char.IsLowSurrogate(_text[limit]) : !isFinal);
        if (isHalf) limit--;
        if (limit <= _passed) return;
        sink.Pass(_raw.Of(Text, _passed, limit));
        _passed = limit;
    }

    private void WidenToPairs(ref int start, ref int end)
    {
        if (start > _passed && start < _length && char.IsLowSurrogate(_text[start]) && char.IsHighSurrogate(_text[start - 1])) start--;
        if (end > 0 && end < _length && char.IsLowSurrogate(_text[end]) && char.IsHighSurrogate(_text[end - 1])) end++;
    }

    // White space between the values of JSON is no text.
    private bool IsBlank(TextMatch match) =>
        _isBare && Text[Math.Clamp(match.Start, 0, match.End)..match.End].IndexOfAnyExcept(" \t\r\n") < 0;

    /// <summary>Widens a match between strings of JSON to whole numbers and literals. False if the last one may go on.</summary>
    private bool TryWiden(ref int start, ref int end, bool isFinal, out bool isWhole)
    {
        while (start < end && IsSpace(_text[start])) start++;
        while (end > start && IsSpace(_text[end - 1])) end--;
        var (first, last) = (start, end);
        // What has passed counts too: the result must not depend on how much of a long one has.
        while (first > 0 && start - first <= LongestBare && !IsSpace(_text[first - 1])) first--;
        while (last < _length && last - end <= LongestBare && !IsSpace(_text[last])) last++;
        isWhole = first >= _passed && start - first <= LongestBare && last - end <= LongestBare;
        if (isWhole && last == _length && !isFinal) return false;
        if (isWhole) (start, end) = (first, last);
        return true;
    }

    /// <summary>Between strings of JSON, a number or literal passes as a whole.</summary>
    private int StartOfToken(int limit)
    {
        if (!_isBare || limit == 0 || IsSpace(_text[limit - 1]) || (limit < _length && IsSpace(_text[limit]))) return limit;
        var start = limit;
        while (start > 0 && limit - start <= LongestBare && !IsSpace(_text[start - 1])) start--;
        return limit - start <= LongestBare ? start : limit;
    }

    private static bool IsSpace(char c) => c is ' ' or '\t' or '\r' or '\n';

    private void Trim()
    {
        if (_passed < 1024) return;
        var (original, folded) = _holding.Unneeded();
        var (flagOriginal, flagFolded) = _flagging.Unneeded();
        folded = Math.Min(folded, flagFolded);
        original = Math.Min(Math.Min(original, flagOriginal), _passed - (_isBare ? LongestBare + 2 : TextMatcher.Context));
        if (folded != int.MaxValue) original = Math.Min(original, folded <= 0 ? 0 : _folded.SourceOf(folded));
        if (original < 1024 || original < _length / 2) return;
        var droppedFolded = _folded.CountBefore(original);
        _holding.Trim(original, droppedFolded);
        _flagging.Trim(original, droppedFolded);
        _folded.Trim(original);
        _raw.Trim(original);
        _text.AsSpan(original, _length - original).CopyTo(_text);
        _length -= original;
        _passed -= original;
        _dropped += original;
    }

    private void Reserve(int count)
    {
        if (_length + count <= _text.Length) return;
        var larger = ArrayPool<char>.Shared.Rent(Math.Max(_length + count, _text.Length * 2));
        Text.CopyTo(larger);
        ArrayPool<char>.Shared.Return(_text, clearArray: true);
        _text = larger;
    }
}
