using System.Buffers;

namespace Fairlead.Policies.Matching;

/// <summary>
/// The placeholders of one call, such as <c>[EMAIL_1]</c>: numbered from 1 for each label, the same for the same value in every text of the
/// call, input and output. It contains what was redacted, so it must not be logged, stored or audited. Thread-safe.
/// </summary>
internal sealed class Placeholders
{
    /// <summary>Maximum number of different values in a call. Further ones get <c>[EMAIL]</c>, without a number, and cannot be restored.</summary>
    public const int MaxValues = 10_000;

    /// <summary>Whether there is a placeholder that readers get restored. While false, a restorer would copy only.</summary>
    public bool HasRestorable => throw new NotImplementedException();

    /// <summary>Restores a whole text.</summary>
    public string Restore(string text, ChannelKind kind) => throw new NotImplementedException();

    /// <summary>Opens a restorer for one channel of one reader.</summary>
    public PlaceholderRestorer OpenRestorer(ChannelKind kind) => throw new NotImplementedException();
}

/// <summary>
/// Restores placeholders in one channel of a stream, also those that are split between chunks. It holds back a possible beginning of a
/// placeholder, at most <see cref="MaxHeld"/> characters. One owner at a time.
/// </summary>
internal sealed class PlaceholderRestorer
{
    /// <summary>Maximum characters that are held back.</summary>
    public const int MaxHeld = 40;

    /// <summary>Takes a chunk, and writes what can be read now.</summary>
    public void Push(ReadOnlySpan<char> text, IBufferWriter<char> output) => throw new NotImplementedException();

    /// <summary>Writes what was held back. The restorer can be used for another text after that.</summary>
    public void Complete(IBufferWriter<char> output) => throw new NotImplementedException();
}
