using Fairlead.Pipeline;

namespace Fairlead.Batches;

/// <summary>Limits of a batch, the same as OpenAI's.</summary>
internal static class BatchLimits
{
    public const int MaxLines = 50_000;

    public const long MaxFileBytes = 200L * 1024 * 1024;

    /// <summary>Characters of a <c>custom_id</c>.</summary>
    public const int MaxCustomId = 512;

    /// <summary>Maximum errors of a file that are listed.</summary>
    public const int MaxErrors = 100;

    /// <summary>Longest line: a body and what is around it.</summary>
    public static int MaxLineBytes(RequestBounds bounds) => (int)bounds.MaxBodyBytes + (16 * 1024);

    /// <summary>The only supported completion window.</summary>
    public static readonly TimeSpan Window = TimeSpan.FromHours(24);

    /// <summary>How long a batch that has ended can still be read.</summary>
    public static readonly TimeSpan Retention = TimeSpan.FromDays(30);
}
