using System.Buffers;

namespace Fairlead.Policies.Matching;

/// <summary>Whether a stream may go on.</summary>
internal enum GuardResult
{
    Continue,

    /// <summary>A rule stopped the text; see <see cref="OutputGuard.Block"/>. What was written until then stays valid.</summary>
    Blocked,
}

/// <summary>
/// Guards one channel of text in an output stream: the text, reasoning or tool arguments of one choice. It writes what has been checked and
/// holds back what may be the beginning of a match. What it writes in total, and what it counts, does not depend on how the text is divided.
/// It never divides a surrogate pair. One owner at a time.
/// </summary>
internal sealed class OutputGuard : IDisposable
{
    /// <summary>Whether windows need verdicts: then <see cref="PushAsync"/> and <see cref="CompleteAsync"/> must be used.</summary>
    public bool NeedsJudge => throw new NotImplementedException();

    /// <summary>The rule that stopped the text, if one did.</summary>
    public PolicyBlock? Block => throw new NotImplementedException();

    /// <summary>Characters that are held back now.</summary>
    public int Held => throw new NotImplementedException();

    /// <summary>Takes the next chunk, and writes what may leave. After a block nothing is taken or written.</summary>
    public GuardResult Push(ReadOnlySpan<char> text, IBufferWriter<char> output) => throw new NotImplementedException();

    /// <summary>The text has ended: writes the rest, unless a rule stops it.</summary>
    public GuardResult Complete(IBufferWriter<char> output) => throw new NotImplementedException();

    /// <summary>As <see cref="Push"/>; waits for the verdict of each window that the chunk completes.</summary>
    public ValueTask<GuardResult> PushAsync(ReadOnlyMemory<char> text, IBufferWriter<char> output, CancellationToken cancellationToken) =>
        throw new NotImplementedException();

    /// <summary>As <see cref="Complete"/>; waits for the verdict of the last window.</summary>
    public ValueTask<GuardResult> CompleteAsync(IBufferWriter<char> output, CancellationToken cancellationToken) =>
        throw new NotImplementedException();

    /// <summary>Returns buffers. What is held back is gone.</summary>
    public void Dispose() => throw new NotImplementedException();
}
