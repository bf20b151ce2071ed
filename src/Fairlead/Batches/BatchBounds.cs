using Fairlead.Pipeline;

namespace Fairlead.Batches;

/// <summary>What a batch may be at most, as OpenAI has it.</summary>
internal static class BatchBounds
{
    public const int MaxLines = 50_000;

    public const long MaxFileBytes = 200L * 1024 * 1024;

    /// <summary>Letters of a <c>custom_id</c>.</summary>
    public const int MaxCustomId = 512;

    /// <summary>Faults of a file that are listed; more would help nobody.</summary>
    public const int MaxErrors = 100;

    /// <summary>Longest line: a body and what stands around it.</summary>
    public static int MaxLineBytes(RequestBounds bounds) => (int)bounds.MaxBodyBytes + (16 * 1024);

    /// <summary>The one completion window there is.</summary>
    public static readonly TimeSpan Window = TimeSpan.FromHours(24);

    /// <summary>How long a batch that has ended can still be read.</summary>
    public static readonly TimeSpan Retention = TimeSpan.FromDays(30);
}
