using Fairlead.Auditing;
using Fairlead.Configuration;

namespace Fairlead.Tests.Auditing.Content;

/// <summary>A configuration whose audit a test changes while others use it.</summary>
internal sealed class SettableConfiguration : IConfigurationSource
{
    public GatewayConfiguration Current { get; private set; } = new();

    public event Action<GatewayConfiguration>? Changed;

    public void Set(AuditConfig audit)
    {
        Current = Current.With(audit);
        Changed?.Invoke(Current);
    }
}
