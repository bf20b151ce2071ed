using System.Text;
using CsCheck;
using Fairlead.Auditing.Spooling;

namespace Fairlead.Tests.Auditing.Spooling;

public sealed class Crc32CTests
{
    /// <summary>RFC 3720, B.4, and the check value of the catalogues of checksums.</summary>
    [Fact]
    public void Append_KnownTexts_HaveTheirPublishedChecksums()
    {
        Assert.Equal(0xE306_9283, Crc32C.Append(0, Encoding.ASCII.GetBytes("123456789")));
        Assert.Equal(0x8A91_36AA, Crc32C.Append(0, new byte[32]));
        Assert.Equal(0x46DD_794Eu, Crc32C.Append(0, [.. Enumerable.Range(0, 32).Select(i => (byte)i)]));
    }

    [Fact]
    public void Append_AnyBytesInAnyPieces_IsThatOfEachBitAfterTheOther() =>
        Gen.Select(Gen.Byte.Array[0, 2000], Gen.Int[0, 2000]).Sample((bytes, cut) =>
        {
            cut = Math.Min(cut, bytes.Length);
            var expected = BitByBit(bytes);
            Assert.Equal(expected, Crc32C.Append(0, bytes));
            Assert.Equal(expected, Crc32C.Append(Crc32C.Append(0, bytes.AsSpan(0, cut)), bytes.AsSpan(cut)));
        }, iter: 500);

    private static uint BitByBit(byte[] bytes)
    {
        var crc = uint.MaxValue;
        foreach (var value in bytes)
        {
            crc ^= value;
            for (var bit = 0; bit < 8; bit++) crc = (crc & 1) == 0 ? crc >> 1 : (crc >> 1) ^ 0x82F6_3B78;
        }
        return ~crc;
    }
}
