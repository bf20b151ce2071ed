using System.IO.Pipelines;

namespace Fairlead.Pipeline;

/// <summary>Sends a body that is in memory already.</summary>
internal static class LargeBody
{
    // The server copies what it is given before it waits for the client. A long body in one write would be in memory twice until its
    // client has read it.
    private const int PieceBytes = 64 * 1024;

    /// <summary>Writes the body in pieces, each when the client has read enough of those before.</summary>
    /// <returns>False once the client is gone.</returns>
    public static async ValueTask<bool> WriteAsync(PipeWriter output, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        while (body.Length > PieceBytes)
        {
            if ((await output.WriteAsync(body[..PieceBytes], cancellationToken)).IsCompleted) return false;
            body = body[PieceBytes..];
        }
        return !(await output.WriteAsync(body, cancellationToken)).IsCompleted;
    }
}
