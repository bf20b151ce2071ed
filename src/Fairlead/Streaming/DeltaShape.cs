using System.Runtime.CompilerServices;

namespace Fairlead.Streaming;

/// <summary>How the differing parts of several deltas are combined.</summary>
internal enum HoleKind : byte
{
    /// <summary>Content of a JSON string: concatenated.</summary>
    Text,

    /// <summary>Items of a JSON array: concatenated with commas.</summary>
    List,

    /// <summary>A value of which the last one counts: a running count, padding.</summary>
    Last,
}

/// <summary>A part of an event's bytes in which two deltas of one kind may differ.</summary>
internal readonly record struct Hole(int Start, int Length, HoleKind Kind)
{
    public int End => Start + Length;
}

/// <summary>
/// Where a native event contains a piece of text. Two events with equal bytes around their holes are one event in two pieces.
/// </summary>
internal struct DeltaShape
{
    /// <summary>Enough for text, padding, number, usage and the lists of a completion's logprobs.</summary>
    public const int MaxHoles = 8;

    private Holes _holes;

    /// <summary>The choice it belongs to: order matters only within one choice.</summary>
    public int Choice { get; set; }

    public int Count { get; private set; }

    /// <summary>Bytes of text in it.</summary>
    public int TextLength { get; private set; }

    public readonly Hole this[int index] => _holes[index];

    /// <summary>Adds a hole, which must come after the existing ones. False when there are too many.</summary>
    public bool TryAdd(int start, int length, HoleKind kind)
    {
        if (Count == MaxHoles) return false;
        _holes[Count++] = new Hole(start, length, kind);
        if (kind == HoleKind.Text) TextLength += length;
        return true;
    }

    /// <summary>Whether <paramref name="first"/> and <paramref name="second"/> are equal but for what is in their holes.</summary>
    public static bool Fit(ReadOnlySpan<byte> first, in DeltaShape firstShape, ReadOnlySpan<byte> second, in DeltaShape secondShape)
    {
        if (firstShape.Count != secondShape.Count) return false;
        var (a, b) = (0, 0);
        for (var i = 0; i < firstShape.Count; i++)
        {
            var (left, right) = (firstShape[i], secondShape[i]);
            if (left.Kind != right.Kind || !first[a..left.Start].SequenceEqual(second[b..right.Start])) return false;
            (a, b) = (left.End, right.End);
        }
        return first[a..].SequenceEqual(second[b..]);
    }

    [InlineArray(MaxHoles)]
    private struct Holes
    {
        private Hole _first;
    }
}
