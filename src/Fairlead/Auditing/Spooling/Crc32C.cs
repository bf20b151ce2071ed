using System.Buffers.Binary;
using System.Numerics;

namespace Fairlead.Auditing.Spooling;

/// <summary>CRC-32C (Castagnoli), which processors compute in one instruction for eight bytes.</summary>
internal static class Crc32C
{
    /// <summary>The checksum of <paramref name="data"/>, going on from <paramref name="previous"/>.</summary>
    public static uint Append(uint previous, ReadOnlySpan<byte> data)
    {
        var crc = ~previous;
        while (data.Length >= 8)
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(data));
            data = data[8..];
        }
        foreach (var value in data) crc = BitOperations.Crc32C(crc, value);
        return ~crc;
    }
}
