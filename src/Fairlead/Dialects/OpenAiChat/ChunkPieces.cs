using System.Runtime.CompilerServices;
using Fairlead.Streaming.Verification;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>Where in a chunk a piece of output is.</summary>
/// <param name="Part">What it belongs to.</param>
/// <param name="Start">Start of the inside of its JSON string.</param>
/// <param name="Length">Bytes of the inside.</param>
internal readonly record struct ChunkPiece(DigestPart Part, int Start, int Length)
{
    /// <summary>The alternative that it belongs to.</summary>
    public int Choice { get; init; }

    /// <summary>The tool call that it belongs to.</summary>
    public int Index { get; init; }
}

/// <summary>The first few pieces of output in a chunk, in their order. Nearly all chunks have one.</summary>
internal struct ChunkPieces
{
    private const int Max = 6;

    private Items _items;

    /// <summary>Pieces that were added, also those without room.</summary>
    public int Count { get; private set; }

    /// <summary>Whether there were more than fit.</summary>
    public readonly bool IsOverfull => Count > Max;

    /// <summary>A piece, from 0.</summary>
    public readonly ChunkPiece this[int at] => _items[at];

    /// <summary>The piece that this one repeats under its second name; -1 for none.</summary>
    public readonly int OriginalOf(int at)
    {
        if (_items[at].Part != DigestPart.ReasoningCopy) return -1;
        for (var i = 0; i < Math.Min(Count, Max); i++)
        {
            if (_items[i].Part == DigestPart.Reasoning && _items[i].Choice == _items[at].Choice) return i;
        }
        return -1;
    }

    public void Add(in ChunkPiece piece)
    {
        if (Count < Max) _items[Count] = piece;
        Count++;
    }

    /// <summary>Gives the pieces from <paramref name="from"/> on their choice.</summary>
    public void SetChoice(int from, int choice)
    {
        for (var i = from; i < Math.Min(Count, Max); i++) _items[i] = _items[i] with { Choice = choice };
    }

    /// <summary>Gives the pieces from <paramref name="from"/> on their tool call.</summary>
    public void SetIndex(int from, int index)
    {
        for (var i = from; i < Math.Min(Count, Max); i++) _items[i] = _items[i] with { Index = index };
    }

    [InlineArray(Max)]
    private struct Items
    {
        private ChunkPiece _first;
    }
}
