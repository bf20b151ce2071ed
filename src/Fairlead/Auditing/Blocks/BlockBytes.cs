using System.Buffers;
using System.Buffers.Binary;

namespace Fairlead.Auditing.Blocks;

/// <summary>Appends the numbers and bytes of a block's columns: integers little-endian, or seven bits a byte. For one thread.</summary>
internal sealed class BlockBytes
{
    private readonly ArrayBufferWriter<byte> _bytes = new(8192);

    public ReadOnlySpan<byte> Written => _bytes.WrittenSpan;

    public void Clear() => _bytes.ResetWrittenCount();

    public void Byte(byte value)
    {
        _bytes.GetSpan(1)[0] = value;
        _bytes.Advance(1);
    }

    public void Number(ulong value)
    {
        var target = _bytes.GetSpan(10);
        var at = 0;
        while (value >= 0x80)
        {
            target[at++] = (byte)(value | 0x80);
            value >>= 7;
        }
        target[at++] = (byte)value;
        _bytes.Advance(at);
    }

    /// <summary>A number that may be negative.</summary>
    public void Signed(long value) => Number((ulong)((value << 1) ^ (value >> 63)));

    public void UInt16(int value)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(_bytes.GetSpan(2), (ushort)value);
        _bytes.Advance(2);
    }

    public void UInt32(uint value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_bytes.GetSpan(4), value);
        _bytes.Advance(4);
    }

    public void Int64(long value)
    {
        BinaryPrimitives.WriteInt64LittleEndian(_bytes.GetSpan(8), value);
        _bytes.Advance(8);
    }

    public void Bytes(ReadOnlySpan<byte> value) => _bytes.Write(value);
}
