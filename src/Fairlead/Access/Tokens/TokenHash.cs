using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Fairlead.Access.Tokens;

/// <summary>SHA-256 of a token. Verified tokens are remembered by it, so that no token is in memory longer than its request.</summary>
internal readonly record struct TokenHash(UInt128 High, UInt128 Low)
{
    /// <summary>Allocates nothing.</summary>
    public static TokenHash Of(ReadOnlySpan<char> token)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(MemoryMarshal.AsBytes(token), hash);
        return new TokenHash(MemoryMarshal.Read<UInt128>(hash), MemoryMarshal.Read<UInt128>(hash[16..]));
    }
}
