using System.Security.Cryptography;
using System.Text;

namespace Fairlead.Dialects;

/// <summary>The SHA-256 of a text in UTF-8 that comes in pieces, also if a piece ends within a surrogate pair. Not thread-safe.</summary>
internal sealed class TextHash : IDisposable
{
    private const int PieceCharacters = 1024;

    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private readonly Encoder _encoder = Encoding.UTF8.GetEncoder();

    public void Append(ReadOnlySpan<char> text) => Append(text, flush: false);

    /// <summary>Ends the text: half of a pair at its end counts as U+FFFD.</summary>
    public void EndText() => Append([], flush: true);

    public void Append(ReadOnlySpan<byte> bytes) => _hash.AppendData(bytes);

    /// <summary>The hash of everything so far, which starts again.</summary>
    public byte[] Finish() => _hash.GetHashAndReset();

    public void Dispose() => _hash.Dispose();

    private void Append(ReadOnlySpan<char> text, bool flush)
    {
        Span<byte> bytes = stackalloc byte[PieceCharacters * 3];
        do
        {
            _encoder.Convert(text, bytes, flush, out var used, out var written, out _);
            _hash.AppendData(bytes[..written]);
            text = text[used..];
        }
        while (!text.IsEmpty);
    }
}
