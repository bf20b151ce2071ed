using System.Text;
using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Limits;
using Fairlead.Limits.Redis;
using Fairlead.Tests.Common;

namespace Fairlead.Tests.Limits;

/// <summary>The guide and the code say the same.</summary>
public sealed class LimitsGuideTests
{
    private static readonly string Guide = File.ReadAllText(Repository.PathOf("docs", "limits.md"));

    [Fact]
    public void LimitsGuide_AllMembersAndClasses_AreDocumented()
    {
        Assert.All(LimitSetJson.Members, name => Assert.Contains($"`{name}`", Guide, StringComparison.Ordinal));
        Assert.All(CallClasses.All, name => Assert.Contains($"`{name}`", Guide, StringComparison.Ordinal));
    }

    [Fact]
    public void LimitsGuide_ConfigurationExample_IsValid()
    {
        var yaml = Guide[(Guide.IndexOf("```yaml\n", StringComparison.Ordinal) + "```yaml\n".Length)..];
        var result = ConfigurationReader.Read(new ConfigurationInput(), ConfigurationSections.BuiltIn, "fairlead.yaml",
            Encoding.UTF8.GetBytes(yaml[..yaml.IndexOf("```", StringComparison.Ordinal)]));
        Assert.Empty(result.Errors);
        Assert.Equal((60, 5_000_000_000_000), (result.Configuration!.Limits.Defaults.RequestsPerMinute, result.Configuration!.Limits.Defaults.PicoUsdPerDay));
        Assert.Equal(200_000, result.Configuration!.Models["fast"].Limits.InputTokensPerMinute);
    }

    [Theory]
    [InlineData("limits.md", "## How limits count")]
    [InlineData("operating.md", "## Redis")]
    public void RedisExample_OfGuide_IsValid(string guide, string heading)
    {
        var text = File.ReadAllText(Repository.PathOf("docs", guide));
        text = text[text.IndexOf(heading, StringComparison.Ordinal)..];
        text = text[(text.IndexOf("```yaml\n", StringComparison.Ordinal) + "```yaml\n".Length)..];
        var input = new ConfigurationInput
        {
            Environment = new Dictionary<string, string> { ["REDIS_URL"] = "rediss://fairlead:secret@redis.example.com:6380/0", ["DATABASE_URL"] = "postgres://fairlead@db.example.com/fairlead" },
        };
        var result = ConfigurationReader.Read(input, ConfigurationSections.BuiltIn, "fairlead.yaml", Encoding.UTF8.GetBytes(text[..text.IndexOf("```", StringComparison.Ordinal)]));
        Assert.Empty(result.Errors);
        Assert.NotNull(result.Configuration!.Redis.ConnectionString);
        Assert.Equal(StoreFailurePolicy.Local, result.Configuration!.Limits.OnStoreFailure);
    }
}
