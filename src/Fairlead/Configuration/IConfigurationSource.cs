namespace Fairlead.Configuration;

/// <summary>The current configuration. A reload that passed every check replaces it as a whole. Thread-safe.</summary>
internal interface IConfigurationSource
{
    GatewayConfiguration Current { get; }

    /// <summary>Raised after <see cref="Current"/> changed, on one thread at a time.</summary>
    event Action<GatewayConfiguration>? Changed;
}
