using System.Runtime.CompilerServices;
using System.Text;

namespace Fairlead.Streaming.Verification;

/// <summary>
/// Length and hash of the output of one choice, as a sequence of UTF-16 units and of marks between its parts. How the output was divided
/// into events does not matter. The hash at the lengths 16, 32, 64 and so on is kept, so that another output is recognised early. Holds no
/// text. Not thread-safe.
/// </summary>
internal sealed class ChoiceDigest
{
    /// <summary>Length at the first checkpoint.</summary>
    public const int FirstCheckpoint = 16;

    private const int MaxCheckpoints = 32;
    private const ulong Prime = 0x100000001B3;

    // Marks are beyond all UTF-16 units.
    private const ulong MarkBase = 0x1_0000;

    private ulong _hash = 0xCBF29CE484222325;
    private long _nextCheckpoint = FirstCheckpoint;
    private Checkpoints _checkpoints;
    private DigestPart _part;
    private long _marks;
    private int _index;

    /// <summary>Units and marks so far.</summary>
    public long Length { get; private set; }

    /// <summary>UTF-16 units so far.</summary>
    public long TextLength => Length - _marks;

    /// <summary>Checkpoints so far.</summary>
    public int CheckpointCount { get; private set; }

    /// <summary>The hash of everything so far.</summary>
    public ulong Hash => _hash;

    /// <summary>The hash at a checkpoint, from 0.</summary>
    public ulong HashAt(int checkpoint) => _checkpoints[checkpoint];

    /// <summary>Whether <see cref="Enter"/> would add a mark.</summary>
    public bool IsIn(DigestPart part, int index) => part == _part && index == _index;

    /// <summary>Continues with a part; a mark is added if it is another one than before.</summary>
    public void Enter(DigestPart part, int index = 0)
    {
        if (!IsIn(part, index)) Mark(part, index);
    }

    /// <summary>Adds a mark, also if the part before was the same.</summary>
    public void Mark(DigestPart part, int index = 0)
    {
        (_part, _index) = (part, index);
        _marks++;
        Add(MarkBase + ((ulong)part << 32) + (uint)index);
    }

    /// <summary>Adds text of the open part.</summary>
    public void Add(ReadOnlySpan<char> text)
    {
        foreach (var unit in text) Add((ulong)unit);
    }

    /// <summary>Adds the inside of a JSON string in its escaped form.</summary>
    public void AddJson(ReadOnlySpan<byte> json)
    {
        Span<char> units = stackalloc char[2];
        for (var i = 0; i < json.Length;)
        {
            var letter = json[i];
            if (letter is < 0x80 and not (byte)'\\')
            {
                Add((ulong)letter);
                i++;
            }
            else if (letter == (byte)'\\')
            {
                Add((ulong)JsonUnits.Escaped(json, i, out var length));
                i += length;
            }
            else
            {
                Rune.DecodeFromUtf8(json[i..], out var rune, out var length);
                Add(units[..rune.EncodeToUtf16(units)]);
                i += length;
            }
        }
    }

    private void Add(ulong unit)
    {
        _hash = (_hash ^ unit) * Prime;
        if (++Length == _nextCheckpoint) Note();
    }

    private void Note()
    {
        if (CheckpointCount == MaxCheckpoints) return;
        _checkpoints[CheckpointCount++] = _hash;
        _nextCheckpoint *= 2;
    }

    [InlineArray(MaxCheckpoints)]
    private struct Checkpoints
    {
        private ulong _first;
    }
}
