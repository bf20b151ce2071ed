using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Fairlead.Idempotency;

/// <summary>
/// Two requests are the same if they have the same path and the same JSON tokens in the body. White space between tokens does not count.
/// The order of members counts: a client that repeats a request does not reorder it.
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
            // Type and length first, so that different lists of tokens have different bytes.
            frame[0] = (byte)reader.TokenType;
            System.Buffers.Binary.BinaryPrimitives.WriteInt32LittleEndian(frame[1..], reader.ValueSpan.Length);
            hash.AppendData(frame);
            hash.AppendData(reader.ValueSpan);
        }
        return hash.GetHashAndReset();
    }
}
