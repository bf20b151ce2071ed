using System.Text.Json.Nodes;
using Fairlead.Configuration;

namespace Fairlead.Http;

/// <summary>An origin as browsers send it (scheme, host and port), or <c>*</c>.</summary>
internal sealed class ConfigOriginName : ConfigScalarType
{
    protected override string Expected(ConfigReadContext context) =>
        "an origin such as https://app.example.com or http://localhost:5173, or \"*\"";

    protected override object? Parse(string text, ConfigReadContext context, out string problem)
    {
        problem = "Not an origin.";
        if (text == "*") return text;
        if (!Uri.TryCreate(text, UriKind.Absolute, out var address) || address.Scheme is not ("http" or "https")
            || address.Host.Length == 0 || address.UserInfo.Length > 0)
        {
            return null;
        }
        problem = "An origin has no path, query or fragment.";
        if (address.AbsolutePath != "/" || address.Query.Length > 0 || address.Fragment.Length > 0) return null;
        // As browsers send it: lower case, and no port where it is the default of the scheme.
        return address.GetLeftPart(UriPartial.Authority);
    }

    public override JsonObject Schema() => new() { ["type"] = "string", ["minLength"] = 1 };

    public override string Describe() => "origin";

    public override string? Format(object? value) => value as string;
}
