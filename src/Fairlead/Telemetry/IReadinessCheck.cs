namespace Fairlead.Telemetry;

/// <summary>Something without which this process should get no traffic. One model provider being away is not: that degrades, and routing deals with it.</summary>
internal interface IReadinessCheck
{
    /// <summary>One word, shown by <c>/readyz?verbose</c>.</summary>
    string Name { get; }

    /// <summary>Null when all is well, else what is not, in a few words without anything secret.</summary>
    ValueTask<string?> CheckAsync(CancellationToken cancellationToken);
}
