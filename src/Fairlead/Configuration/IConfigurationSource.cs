namespace Fairlead.Configuration;

/// <summary>The current configuration; replaced as a whole by a reload that passed every check. Thread-safe.</summary>
internal interface IConfigurationSource
{
    GatewayConfiguration Current { get; }

    /// <summary>Raised after <see cref="Current"/> changed, on one thread at a time.</summary>
    event Action<GatewayConfiguration>? Changed;
}
