using System.Buffers;

namespace Fairlead.Policies.Matching;

/// <summary>
/// Words and phrases of a list: whole words, in any case, with accents as written. A vectorised search for the first words of all phrases finds
/// the candidates.
/// </summary>
internal sealed class WordMatcher : TextMatcher
{
    private readonly WordTrie _trie;
    private readonly SearchValues<string> _starts;

    public WordMatcher(IEnumerable<string> words)
    {
        var folded = new List<string>();
        foreach (var word in words)
        {
            var text = FoldedText.Fold(word);
            folded.Add(LetterCompositions.Compose(text));
            folded.Add(LetterCompositions.Decompose(text));
        }
        _trie = new WordTrie(folded);
        _starts = SearchValues.Create([.. folded.Select(FirstWord).Where(word => word.Length > 0).Distinct()], StringComparison.OrdinalIgnoreCase);
    }

    // Spaces of a phrase may be repeated.
    public override int MaxHeld => _trie.LongestWord + (_trie.MostSpaces * (WordTrie.MaxSpaces - 1)) + 1;

    public override MatchStep Next(ReadOnlySpan<char> text, int from, bool isFinal)
    {
        // Close to the end, a word may have started whose rest is still to come.
        var tail = isFinal ? text.Length : Math.Max(from, text.Length - MaxHeld);
        while (true)
        {
            var start = from < tail ? Candidate(text, from) : from;
            if (start >= tail) start = Math.Max(from, tail);
            while (start >= tail && start < text.Length && !CouldStart(text, start)) start++;
            if (start >= text.Length) return MatchStep.None;
            var length = _trie.Measure(text, start, isFinal);
            if (length > 0) return MatchStep.Found(start, length);
            if (length < 0) return MatchStep.Pending(start);
            from = start + 1;
        }
    }

    private int Candidate(ReadOnlySpan<char> text, int from) =>
        text[from..].IndexOfAny(_starts) is >= 0 and var offset ? from + offset : text.Length;

    private bool CouldStart(ReadOnlySpan<char> text, int at) =>
        _trie.CouldStart(text[at]) && (_trie.HasFreeStart || !Letters.JoinsBefore(text, at));

    private static string FirstWord(string word)
    {
        var text = word.AsSpan().Trim().Trim('*').Trim();
        var length = text.IndexOfAny(" \t\r\n");
        return new string(length < 0 ? text : text[..length]);
    }
}
