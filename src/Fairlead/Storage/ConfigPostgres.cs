using System.Text.Json.Nodes;
using Fairlead.Configuration;

namespace Fairlead.Storage;

/// <summary>A connection string of PostgreSQL. It is never shown.</summary>
internal sealed class ConfigPostgres : ConfigScalarType
{
    public override bool IsSecret => true;

    protected override string Expected(ConfigReadContext context) =>
        "postgres://user:password@host/database (special characters percent-encoded), or Host=…;Database=…;Username=…;Password=…";

    protected override object? Parse(string text, ConfigReadContext context, out string problem)
    {
        problem = "Not a connection string of PostgreSQL, or it has no host.";
        return PostgresConnectionString.Parse(text) is null ? null : text;
    }

    public override JsonObject Schema() => new() { ["type"] = "string", ["minLength"] = 1 };

    public override string Describe() => "connection string (secret)";
}
