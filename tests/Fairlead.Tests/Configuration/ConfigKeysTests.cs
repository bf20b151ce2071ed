using Fairlead.Auditing;
using Fairlead.Configuration;
using Fairlead.Pipeline;
using Fairlead.Telemetry;
using Fairlead.Tests.Common;

namespace Fairlead.Tests.Configuration;

public sealed class ConfigKeysTests
{
    /// <summary>The files of the folder that join what the slices declare.</summary>
    private static readonly string[] Joining = ["ConfigKeys.cs", "GatewayConfiguration.cs"];

    public static TheoryData<string, GatewayConfiguration> Changes => new()
    {
        { "fairlead.dataDirectory", new() { DataDirectory = "elsewhere" } },
        { "fairlead.storage", new() { Storage = new() { Provider = "postgres", ConnectionString = "postgres://host/database" } } },
        { "fairlead.audit.durability", new() { Audit = new() { Durability = AuditDurability.Fsync } } },
        { "fairlead.telemetry.otlpEndpoint", new() { Telemetry = new() { OtlpEndpoint = "http://collector:4317" } } },
        { "", new() { Requests = new() { MaxDepth = 10 }, Audit = new() { Retention = null }, Telemetry = new() { MetricsKey = "key" },
            DrainTimeout = TimeSpan.Zero } },
    };

    [Theory]
    [MemberData(nameof(Changes))]
    public void RestartKeys_Change_ReturnsTheKeyIfItNeedsARestart(string expected, GatewayConfiguration changed)
    {
        var keys = ConfigKeys.BuiltIn.Fairlead.RestartKeys(new GatewayConfiguration(), changed, "fairlead");
        Assert.Equal(expected, string.Join(", ", keys));
    }

    [Fact]
    public void Folder_ExceptTheJoiningFiles_RefersToNoSlice()
    {
        var files = Directory.GetFiles(Repository.PathOf("src", "Fairlead", "Configuration"), "*.cs");
        Assert.Superset(Joining.ToHashSet(), files.Select(Path.GetFileName).ToHashSet()!);
        var references = files.Where(file => !Joining.Contains(Path.GetFileName(file)))
            .SelectMany(file => File.ReadLines(file).Where(line => line.StartsWith("using Fairlead.", StringComparison.Ordinal)))
            .Distinct();
        // Networks in CIDR notation.
        Assert.Equal(["using Fairlead.Security;"], references);
    }
}
