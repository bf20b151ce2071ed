using System.Buffers.Binary;

namespace Fairlead.Auditing.Blocks;

/// <summary>Reads what <see cref="BlockBytes"/> wrote.</summary>
/// <exception cref="BlockFormatException">Of every member: the bytes end too early, or a number is too long.</exception>
internal ref struct BlockCursor(ReadOnlySpan<byte> bytes)
{
    private readonly ReadOnlySpan<byte> _bytes = bytes;

    public int Position { get; private set; }

    public readonly ReadOnlySpan<byte> Rest => _bytes[Position..];

    public byte Byte() => Bytes(1)[0];

    public ulong Number()
    {
        ulong value = 0;
        for (var shift = 0; shift < 64; shift += 7)
        {
            var part = Byte();
            value |= (ulong)(part & 0x7F) << shift;
            if (part < 0x80) return value;
        }
        throw new BlockFormatException("A number is too long.");
    }

    /// <summary>A number of things that the bytes contain: at most <paramref name="max"/>.</summary>
    public int Count(int max)
    {
        var value = Number();
        return value <= (ulong)max ? (int)value : throw new BlockFormatException("A number is too large.");
    }

    public long Signed()
    {
        var value = Number();
        return (long)(value >> 1) ^ -(long)(value & 1);
    }

    public uint UInt32() => BinaryPrimitives.ReadUInt32LittleEndian(Bytes(4));

    public long Int64() => BinaryPrimitives.ReadInt64LittleEndian(Bytes(8));

    public ReadOnlySpan<byte> Bytes(int count)
    {
        if (count < 0 || count > _bytes.Length - Position) throw new BlockFormatException("The bytes end too early.");
        var found = _bytes.Slice(Position, count);
        Position += count;
        return found;
    }
}
