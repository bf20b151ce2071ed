namespace Fairlead.Auditing.Records;

/// <summary>One attempt of a <see cref="ShippedCall"/>.</summary>
internal sealed class ShippedAttempt
{
    public ReadOnlyMemory<byte> Id { get; set; }

    public long Number { get; set; }

    public ReadOnlyMemory<byte> Deployment { get; set; }

    public ReadOnlyMemory<byte> Provider { get; set; }

    public ReadOnlyMemory<byte> UpstreamModel { get; set; }

    public ReadOnlyMemory<byte>? Outcome { get; set; }

    public long InputTokens { get; set; }

    public long CachedInputTokens { get; set; }

    public long CacheWriteTokens { get; set; }

    public long OutputTokens { get; set; }

    public long ReasoningTokens { get; set; }

    public ReadOnlyMemory<byte> Basis { get; set; }

    public long CostPicoUsd { get; set; }

    /// <summary>One of <see cref="ChargeDifference"/>; null if the record does not state it.</summary>
    public ReadOnlyMemory<byte>? Difference { get; set; }

    /// <summary>What the provider reported where that is not what was charged; null if nothing was, or the record does not state it.</summary>
    public ReportedTokens? Reported { get; set; }
}

/// <summary>A usage as a provider reported it.</summary>
internal readonly record struct ReportedTokens(
    long Input, long CachedInput, long CacheWrite, long Output, long Reasoning, long CostPicoUsd);
