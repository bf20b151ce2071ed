using System.Net;
using System.Text.Json.Nodes;
using Fairlead.Security;

namespace Fairlead.Configuration;

/// <summary>A network in CIDR notation, or one address, read as <see cref="IPNetwork"/>.</summary>
internal sealed class ConfigNetwork : ConfigScalarType
{
    protected override string Expected(ConfigReadContext context) => "a network such as 10.0.0.0/8 or fd00::/8, or one address";

    protected override object? Parse(string text, ConfigReadContext context, out string problem)
    {
        var (network, error) = NetworkAddress.Read(text);
        problem = error ?? "";
        return network is null ? null : IPNetwork.Parse(network);
    }

    public override JsonObject Schema() => new() { ["type"] = "string", ["minLength"] = 2 };

    public override string Describe() => "network in CIDR notation";

    public override string? Format(object? value) => value?.ToString();
}
