namespace Fairlead.Policies.Matching;

/// <summary>
/// Words and phrases as a tree of characters, compared in capitals. A space in a phrase stands for one to <see cref="MaxSpaces"/> spaces, tabs
/// or line breaks. Immutable and thread-safe.
/// </summary>
internal sealed class WordTrie
{
    /// <summary>White space characters in a row that count as one space of a phrase.</summary>
    public const int MaxSpaces = 8;

    private readonly Node[] _nodes;
    private readonly char[] _labels;
    private readonly int[] _targets;
    private readonly bool[] _starts = new bool[128];
    private readonly bool _hasOtherStarts;

    /// <param name="words">Words after <see cref="FoldedText.Fold"/>, with <c>*</c> at the start or end where they may touch letters.</param>
    public WordTrie(IEnumerable<string> words)
    {
        List<Draft> drafts = [new Draft()];
        foreach (var word in words) Insert(drafts, word);

        var labels = new List<char>();
        var targets = new List<int>();
        _nodes = new Node[drafts.Count];
        for (var i = 0; i < drafts.Count; i++)
        {
            var draft = drafts[i];
            _nodes[i] = new Node(labels.Count, draft.Next.Count, draft.Ends, draft.HasFreeStart);
            foreach (var (label, target) in draft.Next)
            {
                labels.Add(label);
                targets.Add(target);
            }
        }
        _labels = [.. labels];
        _targets = [.. targets];
        foreach (var first in drafts[0].Next.Keys)
        {
            // Text is compared in capitals, so the small letter starts a word too.
            if (first < 128) _starts[first] = _starts[char.ToLowerInvariant(first)] = true;
            else _hasOtherStarts = true;
        }
    }

    /// <summary>Maximum characters of a match, with one character for each space.</summary>
    public int LongestWord { get; private set; }

    /// <summary>Maximum spaces of a phrase.</summary>
    public int MostSpaces { get; private set; }

    /// <summary>Whether some word may start inside of another word.</summary>
    public bool HasFreeStart => _nodes[0].HasFreeStart;

    /// <summary>Whether a word could start with a character.</summary>
    public bool CouldStart(char c) => c < 128 ? _starts[c] : _hasOtherStarts;

    /// <summary>Length of the longest word at a position, 0 if there is none, -1 if the text ends too early.</summary>
    public int Measure(ReadOnlySpan<char> text, int start, bool isFinal)
    {
        var isInWord = Letters.JoinsBefore(text, start);
        var (node, best) = (0, 0);
        for (var i = start; ; i++)
        {
            ref readonly var here = ref _nodes[node];
            if (node > 0 && isInWord && !here.HasFreeStart) return best;
            var isAtEnd = i == text.Length;
            if ((here.Ends & (isInWord ? Ends.FreeStart : Ends.All)) != 0)
            {
                if (isAtEnd && !isFinal && (here.Count > 0 || !here.CanEnd(isInWord, isBeforeLetter: true))) return -1;
                if (here.CanEnd(isInWord, isBeforeLetter: !isAtEnd && Letters.Joins(text[i]))) best = i - start;
            }
            if (here.Count == 0) return best;
            if (isAtEnd) return isFinal ? best : -1;
            var c = text[i];
            if (IsSpace(c))
            {
                var run = 1;
                while (run < MaxSpaces && i + run < text.Length && IsSpace(text[i + run])) run++;
                node = Step(in here, ' ');
                if (node == 0) return best;
                i += run - 1;
                // The run of spaces may go on.
                if (i + 1 == text.Length && !isFinal) return -1;
                continue;
            }
            node = Step(in here, char.ToUpperInvariant(c));
            if (node == 0) return best;
        }
    }

    public static bool IsSpace(char c) => c is ' ' or '\t' or '\n' or '\r';

    private int Step(in Node node, char label)
    {
        var labels = _labels.AsSpan(node.First, node.Count);
        var index = labels.Length <= 8 ? labels.IndexOf(label) : labels.BinarySearch(label);
        return index < 0 ? 0 : _targets[node.First + index];
    }

    private void Insert(List<Draft> drafts, string word)
    {
        var text = word.AsSpan().Trim();
        var freeStart = text.StartsWith('*');
        var freeEnd = text.EndsWith('*');
        text = text.Trim('*').Trim();
        if (text.IsEmpty) return;
        // Where the word's own edge is no letter, or a letter of a script without spaces, it may touch others.
        freeStart |= !Letters.Joins(text[0]);
        freeEnd |= !Letters.Joins(text[^1]);
        var node = 0;
        var (length, spaces) = (0, 0);
        drafts[0].HasFreeStart |= freeStart;
        for (var i = 0; i < text.Length; i++)
        {
            var isSpace = IsSpace(text[i]);
            if (isSpace && IsSpace(text[i - 1])) continue;
            length++;
            if (isSpace) spaces++;
            var label = isSpace ? ' ' : char.ToUpperInvariant(text[i]);
            if (!drafts[node].Next.TryGetValue(label, out var next))
            {
                next = drafts.Count;
                drafts[node].Next.Add(label, next);
                drafts.Add(new Draft());
            }
            node = next;
            drafts[node].HasFreeStart |= freeStart;
        }
        drafts[node].Ends |= (freeStart, freeEnd) switch
        {
            (false, false) => Ends.Whole,
            (true, false) => Ends.Suffix,
            (false, true) => Ends.Prefix,
            _ => Ends.Anywhere,
        };
        LongestWord = Math.Max(LongestWord, length);
        MostSpaces = Math.Max(MostSpaces, spaces);
    }

    [Flags]
    private enum Ends
    {
        None = 0,
        Whole = 1,
        Prefix = 2,
        Suffix = 4,
        Anywhere = 8,
        FreeStart = Suffix | Anywhere,
        All = Whole | Prefix | FreeStart,
    }

    private sealed class Draft
    {
        public SortedDictionary<char, int> Next { get; } = [];

        public Ends Ends { get; set; }

        public bool HasFreeStart { get; set; }
    }

    private readonly record struct Node(int First, int Count, Ends Ends, bool HasFreeStart)
    {
        public bool CanEnd(bool isInWord, bool isBeforeLetter)
        {
            var allowed = (isInWord, isBeforeLetter) switch
            {
                (false, false) => Ends.All,
                (false, true) => Ends.Prefix | Ends.Anywhere,
                (true, false) => Ends.FreeStart,
                _ => Ends.Anywhere,
            };
            return (Ends & allowed) != 0;
        }
    }
}
