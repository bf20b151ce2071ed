namespace Fairlead.Configuration;

/// <summary>A check of the finished configuration that needs services of its slice. Thread-safe.</summary>
internal interface IConfigurationCheck
{
    /// <summary>Every error; empty when the configuration can be used.</summary>
    IEnumerable<ConfigurationError> Check(GatewayConfiguration configuration);
}
