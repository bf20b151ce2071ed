using Fairlead.Auditing.Spooling;

namespace Fairlead.Auditing.Blocks;

/// <summary>Hashes of what a client chose freely: the index of a block has only these, so it stays small and shows nobody's name.</summary>
internal static class LabelHash
{
    public static uint OfEndUser(ReadOnlySpan<byte> user) => Crc32C.Append(Crc32C.Append(0, "u"u8), user);

    public static uint OfMetadata(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value) =>
        Crc32C.Append(Crc32C.Append(Crc32C.Append(Crc32C.Append(0, "m"u8), key), "\0"u8), value);
}
