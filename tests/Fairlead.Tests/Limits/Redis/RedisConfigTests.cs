using System.Net;
using System.Text;
using Fairlead.Configuration;
using Fairlead.Limits.Redis;
using StackExchange.Redis;

namespace Fairlead.Tests.Limits.Redis;

/// <summary>How a Redis is named in the configuration.</summary>
public sealed class RedisConfigTests
{
    [Theory]
    [InlineData("redis://host", "host", 6379, null, null, false, null)]
    [InlineData("redis://:p%40ss%2Fword@host:7000/3", "host", 7000, null, "p@ss/word", false, 3)]
    [InlineData("rediss://me:secret@host", "host", 6379, "me", "secret", true, null)]
    [InlineData("host:7000,user=me,password=secret,ssl=true,defaultDatabase=3", "host", 7000, "me", "secret", true, 3)]
    [InlineData("host", "host", 6379, null, null, false, null)]
    public void Parse_EitherForm_ReadsEveryPart(string text, string host, int port, string? user, string? password, bool ssl, int? database)
    {
        var options = RedisConnectionString.Parse(text)!;
        options.SetDefaultPorts();
        var end = Assert.IsType<DnsEndPoint>(Assert.Single(options.EndPoints));
        Assert.Equal((host, port), (end.Host, end.Port));
        Assert.Equal((user, password, ssl, database), (options.User, string.IsNullOrEmpty(options.Password) ? null : options.Password, options.Ssl, options.DefaultDatabase));
        // No call waits for a connection.
        Assert.Equal((false, BacklogPolicy.FailFast, 1000), (options.AbortOnConnectFail, options.BacklogPolicy, options.AsyncTimeout));
    }

    [Fact]
    public void Parse_TimeoutInTheDriversWords_IsKept() => Assert.Equal(500, RedisConnectionString.Parse("host,asyncTimeout=500")!.AsyncTimeout);

    [Theory]
    [InlineData("redis://")]
    [InlineData("redis://host/x")]
    [InlineData("redis://host?ssl=true")]
    [InlineData("password=secret-1")]
    [InlineData("host,pasword=secret-1")]
    [InlineData("host,ssl=secret-1")]
    public void Read_OtherText_ReturnsErrorWithoutTheText(string text)
    {
        Assert.Null(RedisConnectionString.Parse(text));
        var error = Assert.Single(Read($"fairlead: {{ redis: {{ connectionString: \"{text}\" }} }}").Errors);
        Assert.Equal("fairlead.redis.connectionString", error.Key);
        Assert.DoesNotContain("secret-1", error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Read_ConnectionString_IsNotShown()
    {
        var configuration = Read("fairlead: { redis: { connectionString: \"redis://:secret-1@host\" } }").Configuration!;
        Assert.Equal("redis://:secret-1@host", configuration.Redis.ConnectionString);
        Assert.DoesNotContain("secret-1", configuration.Redis.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("2 1")]
    [InlineData("1 5")]
    [InlineData("1 5 x")]
    [InlineData("1 5 -1")]
    public void Reply_OtherText_Throws(string text) => Assert.Throws<FormatException>(() => RateReply.Parse(Encoding.UTF8.GetBytes(text), 2));

    [Fact]
    public void Reply_LargeNumbers_AreExact()
    {
        var reply = RateReply.Parse("0 3600000000000000000000000 7"u8, 2);
        Assert.False(reply.IsTaken);
        Assert.Equal([Int128.Parse("3600000000000000000000000", null), 7], reply.Values);
    }

    private static ConfigurationResult Read(string yaml) =>
        ConfigurationReader.Read(new ConfigurationInput(), ConfigurationSections.BuiltIn, "fairlead.yaml", Encoding.UTF8.GetBytes(yaml));
}
