using System.Text;
using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Scheduling;
using Fairlead.Tests.Common;

namespace Fairlead.Tests.Scheduling;

/// <summary>The guide, the configuration and the code say the same.</summary>
public sealed class SchedulingGuideTests
{
    private static readonly string Guide = File.ReadAllText(Repository.PathOf("docs", "scheduling.md"));

    [Fact]
    public void SchedulingGuide_ClassesAndDefaults_AreDocumented()
    {
        Assert.All(CallClasses.All, name => Assert.Contains($"`{name}`", Guide, StringComparison.Ordinal));
        var defaults = new SchedulingConfig();
        Assert.Contains($"{defaults.MaxWait.TotalSeconds:0} s", Guide, StringComparison.Ordinal);
        Assert.True(defaults.Adaptive);
        Assert.Equal((1000, 5000, 5000), (defaults.MaxQueued.Realtime, defaults.MaxQueued.Standard, defaults.MaxQueued.Bulk));
    }

    [Fact]
    public void SchedulingGuide_ConfigurationExample_IsValidAndOverridesOneModel()
    {
        var yaml = Guide[(Guide.IndexOf("```yaml\n", StringComparison.Ordinal) + "```yaml\n".Length)..];
        var configuration = Read(yaml[..yaml.IndexOf("```", StringComparison.Ordinal)]);
        var general = configuration.Scheduling;
        Assert.Equal((1000, 2000), (general.MaxQueued.Realtime, general.MaxQueued.Standard));
        var chat = general.With(configuration.Models["chat"].Scheduling);
        Assert.Equal((TimeSpan.FromSeconds(10), general.AgingAfter), (chat.MaxWait, chat.AgingAfter));
        Assert.Equal((true, false), (general.Adaptive, chat.Adaptive));
        Assert.Equal((1000, 2000, 0), (chat.MaxQueued.Realtime, chat.MaxQueued.Standard, chat.MaxQueued.Bulk));
    }

    [Theory]
    [InlineData("scheduling: { maxWait: 2h }", "scheduling.maxWait")]
    [InlineData("scheduling: { agingAfter: 10ms }", "scheduling.agingAfter")]
    [InlineData("scheduling: { maxQueued: { realtime: -1 } }", "scheduling.maxQueued.realtime")]
    [InlineData("scheduling: { maxQueued: { urgent: 1 } }", "scheduling.maxQueued.urgent")]
    [InlineData("models: { m: { scheduling: { maxQueued: { bulk: 2000000 } } } }", "models.m.scheduling.maxQueued.bulk")]
    public void SchedulingConfig_ImpossibleValue_IsReportedByItsPath(string yaml, string path)
    {
        var result = ConfigurationReader.Read(new ConfigurationInput(), ConfigurationSections.BuiltIn, "fairlead.yaml",
            Encoding.UTF8.GetBytes($"fairlead:\n  {yaml}\n"));
        Assert.Contains(result.Errors, error => error.ToString().Contains(path, StringComparison.Ordinal));
    }

    private static GatewayConfiguration Read(string yaml)
    {
        var result = ConfigurationReader.Read(new ConfigurationInput(), ConfigurationSections.BuiltIn, "fairlead.yaml", Encoding.UTF8.GetBytes(yaml));
        Assert.Empty(result.Errors);
        return result.Configuration!;
    }
}
