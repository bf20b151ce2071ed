using System.Text;
using Fairlead.Streaming.Verification;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>Adds scanned chunks to the digest of a stream.</summary>
internal static class ChunkDigest
{
    /// <param name="digest">Receives the output.</param>
    /// <param name="data">The chunk, as it is forwarded.</param>
    /// <param name="found">What the scanner found in it.</param>
    public static void Add(OutputDigest digest, ReadOnlySpan<byte> data, in OpenAiResponseScanner.Found found)
    {
        if (digest.ResponseId is null && found.HasId)
        {
            digest.ResponseId = Encoding.UTF8.GetString(data.Slice(found.IdStart + 1, found.IdLength - 2));
            digest.CreatedAt = NativeChunk.Number(data, "created"u8);
        }
        if (found.IsIncomparable || found.Pieces.IsOverfull)
        {
            digest.Exclude();
            return;
        }
        // A chunk without text may start a choice.
        if (found.Choices > 0) digest.Of(found.Choice);
        for (var i = 0; i < found.Pieces.Count; i++)
        {
            if (found.Pieces.OriginalOf(i) >= 0) continue;
            var piece = found.Pieces[i];
            digest.AddJson(piece.Choice, piece.Part, piece.Index, data.Slice(piece.Start, piece.Length));
        }
        if (found.Finished is { } first) digest.Of(first.Choice).Enter(DigestPart.Finish, (int)first.Reason);
        foreach (var (choice, reason) in found.MoreFinished ?? []) digest.Of(choice).Enter(DigestPart.Finish, (int)reason);
    }
}
