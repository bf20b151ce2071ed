using System.Text.Json.Nodes;
using Fairlead.Configuration;

namespace Fairlead.Limits.Redis;

/// <summary>A connection string of Redis. It is never shown.</summary>
internal sealed class ConfigRedis : ConfigScalarType
{
    public override bool IsSecret => true;

    protected override string Expected(ConfigReadContext context) =>
        "redis://user:password@host:6379/0 (special characters percent-encoded), or host:6379,password=…";

    protected override object? Parse(string text, ConfigReadContext context, out string problem)
    {
        problem = "Not a connection string of Redis, or it has no host.";
        return RedisConnectionString.Parse(text) is null ? null : text;
    }

    public override JsonObject Schema() => new() { ["type"] = "string", ["minLength"] = 1 };

    public override string Describe() => "connection string (secret)";
}
