using Fairlead.Configuration;

namespace Fairlead.Server.Failover;

/// <summary>A configuration that never changes. Immutable; thread-safe.</summary>
internal sealed class FixedConfigurationSource(GatewayConfiguration configuration) : Fairlead.Configuration.IConfigurationSource
{
    public GatewayConfiguration Current { get; } = configuration;

    /// <summary>Never raised.</summary>
    public event Action<GatewayConfiguration>? Changed
    {
        add { }
        remove { }
    }
}
