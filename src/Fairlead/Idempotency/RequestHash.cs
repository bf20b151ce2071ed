using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Fairlead.Idempotency;

/// <summary>
/// What makes two requests the same: the path, and the body's JSON token by token. White space between tokens does not count; the order of members does,
/// since nobody who repeats a request reorders it.
/// </summary>
internal static class RequestHash
{
    public static byte[] Of(string path, ReadOnlySpan<byte> body)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes(path));
        Span<byte> frame = stackalloc byte[5];
        var reader = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = 1024 });
        while (reader.Read())
        {
            // Type and length first, so that no two lists of tokens read alike.
            frame[0] = (byte)reader.TokenType;
            System.Buffers.Binary.BinaryPrimitives.WriteInt32LittleEndian(frame[1..], reader.ValueSpan.Length);
            hash.AppendData(frame);
            hash.AppendData(reader.ValueSpan);
        }
        return hash.GetHashAndReset();
    }
}
