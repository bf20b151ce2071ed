namespace Fairlead.Identity;

/// <summary>
/// The identity of a request or of one of its inputs: a SHA-256 hash of everything that shapes the output. Two calls with the same key get
/// the same result from the same provider, apart from sampling.
/// </summary>
internal readonly record struct IdentityKey(ulong A, ulong B, ulong C, ulong D)
{
    /// <summary>Bytes of a key.</summary>
    public const int Size = 32;

    /// <summary>A key of 32 bytes.</summary>
    public static IdentityKey Of(ReadOnlySpan<byte> hash) =>
        new(BitConverter.ToUInt64(hash), BitConverter.ToUInt64(hash[8..]), BitConverter.ToUInt64(hash[16..]), BitConverter.ToUInt64(hash[24..]));

    /// <summary>Writes its bytes to <paramref name="output"/>, which has at least <see cref="Size"/> of them.</summary>
    public void CopyTo(Span<byte> output)
    {
        BitConverter.TryWriteBytes(output, A);
        BitConverter.TryWriteBytes(output[8..], B);
        BitConverter.TryWriteBytes(output[16..], C);
        BitConverter.TryWriteBytes(output[24..], D);
    }

    /// <summary>Its bytes as hexadecimal digits, for a store that takes text.</summary>
    public override string ToString()
    {
        Span<byte> bytes = stackalloc byte[Size];
        CopyTo(bytes);
        return Convert.ToHexStringLower(bytes);
    }

    // The hash is uniform, so any part of it is one.
    public override int GetHashCode() => (int)A;
}
