using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Streaming;

namespace Fairlead.Delivery;

/// <summary>
/// Holds the events of a stream and returns them in fewer, larger pieces. Only deltas of known shape are joined, each with earlier ones of
/// the same kind and choice; nothing else of that choice may be between them. Everything else keeps its position and its bytes. One per
/// stream; not thread-safe.
/// </summary>
/// <param name="native">Finds the deltas of native events; null where there are none.</param>
/// <param name="maxTokens">Maximum tokens of one piece.</param>
internal sealed class DeltaMerger(NativeStreams? native, int maxTokens) : IDisposable
{
    /// <summary>A delta counts as one token, unless its text is longer than tokens are: some providers send whole phrases.</summary>
    internal const int LongTokenBytes = 16;

    private const int MaxHeld = 1024;

    private readonly EventBatch _held = new();
    private readonly List<Piece> _pieces = new(4);
    private readonly List<Chain> _chains = new(4);

    public bool IsEmpty => _pieces.Count == 0;

    /// <summary>Whether a piece has reached its maximum, so that waiting for more makes no sense.</summary>
    public bool IsFull { get; private set; }

    /// <summary>Adds the content of <paramref name="batch"/>, which stays with its owner.</summary>
    public void Add(EventBatch batch)
    {
        foreach (var item in batch.Items)
        {
            var piece = item.Event is { } generationEvent ? PieceOf(generationEvent) : PieceOf(batch.DataOf(item), item);
            if (item.Event is not null) _held.Add(item.Event);
            else _held.AddNative(batch.DataOf(item), item.Kind, item.Traits);
            Attach(piece);
        }
    }

    /// <summary>Moves everything into <paramref name="batch"/>, which is empty.</summary>
    public void Flush(EventBatch batch)
    {
        IsFull = false;
        if (_chains.Count == _pieces.Count)
        {
            batch.SwapWith(_held);
        }
        else
        {
            foreach (var chain in _chains)
            {
                var first = _held.Items[chain.First];
                if (chain.First == chain.Last) Copy(first, batch);
                else if (first.Event is { } generationEvent) batch.Add(Join(generationEvent, chain));
                else JoinNative(first, chain, batch);
            }
        }
        _held.Clear();
        _pieces.Clear();
        _chains.Clear();
    }

    public void Dispose() => _held.Dispose();

    private void Attach(in Piece piece)
    {
        var index = _pieces.Count;
        _pieces.Add(piece);
        for (var i = _chains.Count - 1; i >= 0 && piece.IsDelta; i--)
        {
            var chain = _chains[i];
            var first = _pieces[chain.First];
            if (!first.IsDelta) break;
            if (first.Choice != piece.Choice) continue;
            if (chain.Tokens + piece.Tokens > maxTokens || !Fit(chain.First, index, first, piece)) break;
            _pieces[chain.Last] = _pieces[chain.Last] with { Next = index };
            _chains[i] = chain with { Last = index, Tokens = chain.Tokens + piece.Tokens };
            IsFull |= chain.Tokens + piece.Tokens >= maxTokens;
            return;
        }
        _chains.Add(new Chain(index, index, piece.Tokens));
        IsFull |= piece.Tokens >= maxTokens || _chains.Count >= MaxHeld;
    }

    private bool Fit(int firstIndex, int secondIndex, in Piece firstPiece, in Piece secondPiece)
    {
        var (first, second) = (_held.Items[firstIndex], _held.Items[secondIndex]);
        if (first.Event is { } a) return second.Event is { } b && Fit(a, b);
        return second.Event is null && first.Kind == second.Kind && first.Traits == second.Traits
            && DeltaShape.Fit(_held.DataOf(first), firstPiece.Shape, _held.DataOf(second), secondPiece.Shape);
    }

    private static bool Fit(GenerationEvent first, GenerationEvent second) => (first, second) switch
    {
        (TextDelta a, TextDelta b) => a.Logprobs is null == b.Logprobs is null,
        (ReasoningDelta, ReasoningDelta) or (RefusalDelta, RefusalDelta) => true,
        (ToolCallDelta a, ToolCallDelta b) => a.Index == b.Index,
        _ => false,
    };

    private static Piece PieceOf(GenerationEvent generationEvent) => generationEvent switch
    {
        TextDelta text => new Piece(generationEvent.Choice, text.Text.Length),
        // A signature or a sealed block is never joined.
        ReasoningDelta { Signature: null, Redacted: null } reasoning => new Piece(generationEvent.Choice, reasoning.Text.Length),
        RefusalDelta refusal => new Piece(generationEvent.Choice, refusal.Text.Length),
        ToolCallDelta call => new Piece(generationEvent.Choice, call.Arguments.Length),
        _ => default,
    };

    private Piece PieceOf(ReadOnlySpan<byte> data, in StreamItem item)
    {
        const NativeEventTraits Harmless = NativeEventTraits.Content | NativeEventTraits.Usage;
        if ((item.Traits & NativeEventTraits.Content) == 0 || (item.Traits & ~Harmless) != 0) return default;
        return native is not null && native.TryFindDelta(data, item.Kind, out var shape)
            ? new Piece(shape.Choice, shape.TextLength) { Shape = shape } : default;
    }

    private void Copy(in StreamItem item, EventBatch batch)
    {
        if (item.Event is { } generationEvent) batch.Add(generationEvent);
        else batch.AddNative(_held.DataOf(item), item.Kind, item.Traits);
    }

    private GenerationEvent Join(GenerationEvent first, in Chain chain)
    {
        var texts = new List<string>();
        List<TokenLogprob>? logprobs = null;
        for (var i = chain.First; i >= 0; i = _pieces[i].Next)
        {
            switch (_held.Items[i].Event)
            {
                case TextDelta text:
                    texts.Add(text.Text);
                    if (text.Logprobs is not null) (logprobs ??= []).AddRange(text.Logprobs);
                    break;
                case ReasoningDelta reasoning: texts.Add(reasoning.Text); break;
                case RefusalDelta refusal: texts.Add(refusal.Text); break;
                case ToolCallDelta call: texts.Add(call.Arguments); break;
            }
        }
        var whole = string.Concat(texts);
        return first switch
        {
            TextDelta text => text with { Text = whole, Logprobs = logprobs },
            ReasoningDelta reasoning => reasoning with { Text = whole },
            RefusalDelta refusal => refusal with { Text = whole },
            ToolCallDelta call => call with { Arguments = whole },
            _ => throw new InvalidOperationException($"{first.GetType().Name} cannot be joined."),
        };
    }

    // The first delta's bytes around the holes, and in the holes the content of all deltas.
    private void JoinNative(in StreamItem first, in Chain chain, EventBatch batch)
    {
        var data = _held.DataOf(first);
        var shape = _pieces[chain.First].Shape;
        var output = batch.Buffer;
        var start = output.Length;
        var at = 0;
        for (var i = 0; i < shape.Count; i++)
        {
            output.Write(data[at..shape[i].Start]);
            at = shape[i].End;
            if (shape[i].Kind == HoleKind.Last)
            {
                output.Write(InHole(chain.Last, i));
                continue;
            }
            var isFirst = true;
            for (var index = chain.First; index >= 0; index = _pieces[index].Next)
            {
                var inside = InHole(index, i);
                if (shape[i].Kind == HoleKind.List)
                {
                    if (inside.IndexOfAnyExcept(" \t\r\n"u8) < 0) continue;
                    if (!isFirst) output.Write(","u8);
                    isFirst = false;
                }
                output.Write(inside);
            }
        }
        output.Write(data[at..]);
        batch.Items.Add(new StreamItem(start, output.Length - start, first.Kind, first.Traits));
    }

    private ReadOnlySpan<byte> InHole(int index, int hole)
    {
        var where = _pieces[index].Shape[hole];
        return _held.Buffer.WrittenSpan.Slice(_held.Items[index].Start + where.Start, where.Length);
    }

    /// <summary>What is known of one held item.</summary>
    private readonly record struct Piece
    {
        public Piece(int choice, int textLength)
        {
            Choice = choice;
            Tokens = Math.Max(1, textLength / LongTokenBytes);
            IsDelta = true;
        }

        public bool IsDelta { get; }

        public int Choice { get; }

        public int Tokens { get; }

        public DeltaShape Shape { get; init; }

        /// <summary>The next item joined with this one; below 1 for none, since nothing is joined with an earlier item.</summary>
        public int Next
        {
            get => field > 0 ? field : -1;
            init;
        }
    }

    /// <summary>Items that become one.</summary>
    private readonly record struct Chain(int First, int Last, int Tokens);
}
