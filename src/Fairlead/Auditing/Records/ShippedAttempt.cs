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
}
