using Fairlead.Auditing;
using Fairlead.Configuration;
using Fairlead.Limits.Redis;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Fairlead.Telemetry;
using Fairlead.Tests.Common;

namespace Fairlead.Tests.Configuration;

public sealed class ConfigKeysTests
{
    public static TheoryData<string, object> Changes => new()
    {
        { "fairlead.dataDirectory", new GatewayConfiguration { DataDirectory = "elsewhere" } },
        { "fairlead.storage", new GatewayConfiguration().With(new StorageConfig { Provider = "postgres", ConnectionString = "postgres://host/database" }) },
        { "fairlead.redis", new GatewayConfiguration().With(new RedisConfig { ConnectionString = "host" }) },
        { "fairlead.audit.durability", new GatewayConfiguration().With(new AuditConfig { Durability = AuditDurability.Fsync }) },
        { "fairlead.telemetry.otlpEndpoint", new GatewayConfiguration().With(new TelemetryConfig { OtlpEndpoint = "http://collector:4317" }) },
        { "", new GatewayConfiguration { DrainTimeout = TimeSpan.Zero }.With(new RequestBounds { MaxDepth = 10 }).With(new AuditConfig { Retention = null }).With(new TelemetryConfig { MetricsKey = "key" }) },
    };

    [Theory]
    [MemberData(nameof(Changes))]
    public void RestartKeys_Change_ReturnsKeysThatRequireRestart(string expected, object changed)
    {
        var keys = ConfigurationSections.BuiltIn.Fairlead.RestartKeys(new GatewayConfiguration(), changed, "fairlead");
        Assert.Equal(expected, string.Join(", ", keys));
    }
}
