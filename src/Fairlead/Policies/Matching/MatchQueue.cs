namespace Fairlead.Policies.Matching;

/// <summary>A match in a text.</summary>
/// <param name="Start">First character.</param>
/// <param name="End">After the last character.</param>
/// <param name="Slot">Number of the slot that found it: the earlier one is first at the same start.</param>
internal readonly record struct TextMatch(int Start, int End, int Slot);

/// <summary>
/// Runs some slots over a growing text and returns their matches in the order of the text. A match is returned when no slot can find an
/// earlier one any more. One owner.
/// </summary>
internal sealed class MatchQueue(MatchSlot[] slots)
{
    private readonly int[] _positions = new int[slots.Length];
    private readonly List<TextMatch> _matches = [];
    private int _next;

    /// <summary>Every match that starts before this position is known.</summary>
    public int Frontier { get; private set; }

    /// <summary>Finds what can be found in the text so far.</summary>
    /// <param name="text">The text.</param>
    /// <param name="folded">The same text, folded.</param>
    /// <param name="isFinal">Nothing follows.</param>
    public void Advance(ReadOnlySpan<char> text, FoldedText folded, bool isFinal)
    {
        if (_next > 0)
        {
            _matches.RemoveRange(0, _next);
            _next = 0;
        }
        var foldedText = folded.Of(text);
        var count = _matches.Count;
        var frontier = text.Length;
        foldedText = foldedText[..Math.Min(foldedText.Length, folded.CountBefore(text.Length))];
        for (var i = 0; i < slots.Length; i++)
        {
            var matcher = slots[i].Matcher;
            var isOriginal = matcher.ReadsOriginal;
            var searched = isOriginal ? text : foldedText;
            ref var position = ref _positions[i];
            while (position < searched.Length)
            {
                var step = matcher.Next(searched, position, isFinal);
                if (step.Status != MatchStatus.Found)
                {
                    position = step.Status == MatchStatus.Pending ? step.Start : searched.Length;
                    break;
                }
                position = step.Start + step.Length;
                _matches.Add(isOriginal
                    ? new TextMatch(step.Start, position, i)
                    : new TextMatch(folded.SourceOf(step.Start), folded.SourceEndOf(text, position - 1), i));
            }
            var known = isOriginal ? position : position < searched.Length ? folded.SourceOf(position) : Math.Min(folded.Read, text.Length);
            frontier = Math.Min(frontier, known);
        }
        if (_matches.Count > count && _matches.Count > 1) _matches.Sort(TextMatchOrder.Instance);
        // After the end, every match is known.
        Frontier = isFinal ? int.MaxValue : frontier;
    }

    /// <summary>The next match that <see cref="Frontier"/> has passed.</summary>
    public bool TryPeek(out TextMatch match)
    {
        match = _next < _matches.Count ? _matches[_next] : default;
        return _next < _matches.Count && match.Start < Frontier;
    }

    /// <summary>Whether some match that is known and not yet taken starts before a position and satisfies a condition.</summary>
    public bool AnyBefore(int position, Func<MatchSlot, bool> condition)
    {
        for (var i = _next; i < _matches.Count && _matches[i].Start < position; i++)
        {
            if (condition(slots[_matches[i].Slot])) return true;
        }
        return false;
    }

    /// <summary>Takes the match that <see cref="TryPeek"/> returned.</summary>
    public void Take()
    {
        if (++_next < _matches.Count) return;
        _matches.Clear();
        _next = 0;
    }

    /// <summary>Forgets all matches and starts over at the beginning of another text.</summary>
    public void Clear()
    {
        Array.Clear(_positions);
        _matches.Clear();
        _next = 0;
        Frontier = 0;
    }

    /// <summary>How many first characters of the text, and of the folded text, no slot needs any more.</summary>
    public (int Original, int Folded) Unneeded()
    {
        var (original, folded) = (int.MaxValue, int.MaxValue);
        for (var i = 0; i < slots.Length; i++)
        {
            if (slots[i].Matcher.ReadsOriginal) original = Math.Min(original, _positions[i] - TextMatcher.Context);
            else folded = Math.Min(folded, _positions[i] - TextMatcher.Context);
        }
        return (original, folded);
    }

    /// <summary>The first characters of the text were dropped.</summary>
    public void Trim(int original, int folded)
    {
        for (var i = 0; i < slots.Length; i++) _positions[i] -= slots[i].Matcher.ReadsOriginal ? original : folded;
        for (var i = _next; i < _matches.Count; i++)
            _matches[i] = _matches[i] with { Start = _matches[i].Start - original, End = _matches[i].End - original };
        if (Frontier != int.MaxValue) Frontier -= original;
    }

    private sealed class TextMatchOrder : IComparer<TextMatch>
    {
        public static readonly TextMatchOrder Instance = new();

        public int Compare(TextMatch x, TextMatch y) => x.Start != y.Start ? x.Start.CompareTo(y.Start) : x.Slot.CompareTo(y.Slot);
    }
}
