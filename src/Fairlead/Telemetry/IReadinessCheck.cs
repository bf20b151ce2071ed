namespace Fairlead.Telemetry;

/// <summary>
/// Something without which this process should get no traffic. A model provider is not: while it is unavailable, routing fails over.
/// </summary>
internal interface IReadinessCheck
{
    /// <summary>One word, shown by <c>/readyz?verbose</c>.</summary>
    string Name { get; }

    /// <summary>Whether this process uses it. What it does not use is not shown.</summary>
    bool IsUsed => true;

    /// <summary>
    /// What works only in part, in a few words without secrets; null if nothing. It is shown, and the process gets traffic nevertheless.
    /// </summary>
    string? Degraded => null;

    /// <summary>Null when ready; otherwise the reason, in a few words without secrets.</summary>
    ValueTask<string?> CheckAsync(CancellationToken cancellationToken);
}
