using System.Runtime.CompilerServices;

namespace Fairlead.Streaming;

/// <summary>How the parts of several deltas that differ become one.</summary>
internal enum HoleKind : byte
{
    /// <summary>What stands between the quotes of a JSON string: one behind the other.</summary>
    Text,

    /// <summary>What stands between the brackets of a JSON array: one behind the other, with commas.</summary>
    List,

    /// <summary>A value of which the last one stands: a running count, padding.</summary>
    Last,
}

/// <summary>A part of an event's bytes in which two deltas of one kind may differ.</summary>
internal readonly record struct Hole(int Start, int Length, HoleKind Kind)
{
    public int End => Start + Length;
}

/// <summary>
/// Where a native event that carries a piece of text holds it. Two events with equal bytes around their holes are one event in two pieces.
/// </summary>
internal struct DeltaShape
{
    /// <summary>Enough for text, padding, number, usage and the lists of a completion's logprobs.</summary>
    public const int MaxHoles = 8;

    private Holes _holes;

    /// <summary>The alternative it belongs to: order matters within one only.</summary>
    public int Choice { get; set; }

    public int Count { get; private set; }

    /// <summary>Bytes of text in it.</summary>
    public int TextLength { get; private set; }

    public readonly Hole this[int index] => _holes[index];

    /// <summary>Adds a hole, which must stand behind those before it. False when there are too many.</summary>
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
