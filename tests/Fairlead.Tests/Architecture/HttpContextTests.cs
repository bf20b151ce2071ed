using NetArchTest.Rules;

namespace Fairlead.Tests.Architecture;

/// <summary>Only Http and Delivery work with the HTTP request and response; everything else takes values and returns values.</summary>
public sealed class HttpContextTests
{
    /// <summary>The exceptions, each with its reason.</summary>
    private static readonly Dictionary<string, string> Allowed = new(StringComparer.Ordinal)
    {
        ["Fairlead.Access.ICallerSource"] = "An app's own authentication needs the request of the app.",
        ["Fairlead.Access.ApiKeyCallerSource"] = "Implements ICallerSource.",
        ["Fairlead.Access.ApplicationCallerSource"] = "Implements ICallerSource.",
        ["Fairlead.FairleadBuilder"] = "Takes the app's own authentication.",
        ["Fairlead.Responses.ResponseSocket"] = "A WebSocket serves many calls over one connection.",
        ["Fairlead.Responses.SocketTurn"] = "Every turn is authenticated with the request that opened the connection.",
        ["Fairlead.Responses.ResponseSocketEndpoint"] = "Accepts the WebSocket.",
        ["Fairlead.Documentation.DocumentationEndpoints"] = "Pages that need no key.",
        ["Fairlead.Telemetry.HealthEndpoints"] = "Probes that need no key.",
    };

    [Fact]
    public void HttpContext_OutsideHttpAndDelivery_IsUsedByTheExceptionsOnly()
    {
        var users = Types.InAssembly(typeof(FairleadBuilder).Assembly).That().HaveDependencyOnAny(
            "Microsoft.AspNetCore.Http.HttpContext", "Microsoft.AspNetCore.Http.HttpRequest", "Microsoft.AspNetCore.Http.HttpResponse").GetTypes()
            .Select(type => type.FullName!.Split('+')[0])
            // Registrations map addresses that need no key.
            .Where(name => !name.EndsWith("ServiceCollectionExtensions", StringComparison.Ordinal))
            .Where(name => !name.StartsWith("Fairlead.Http.", StringComparison.Ordinal) && !name.StartsWith("Fairlead.Delivery.", StringComparison.Ordinal))
            .Distinct().Order(StringComparer.Ordinal);
        Assert.Equal(Allowed.Keys.Order(StringComparer.Ordinal), users);
    }
}
