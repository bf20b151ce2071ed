using System.IO.Pipelines;

namespace Fairlead.Pipeline;

/// <summary>Sends a body that is in memory already.</summary>
internal static class LargeBody
{
    // The server copies what it is given before it waits for the client: a long body given at once would be in memory twice for as long as its client reads.
    private const int PieceBytes = 64 * 1024;

    /// <summary>Writes it in pieces, each when the client has read enough of those before.</summary>
    public static async ValueTask WriteAsync(PipeWriter output, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        while (body.Length > PieceBytes)
        {
            if ((await output.WriteAsync(body[..PieceBytes], cancellationToken)).IsCompleted) return;
            body = body[PieceBytes..];
        }
        await output.WriteAsync(body, cancellationToken);
    }
}
