using Fairlead.Authentication;
using Fairlead.Configuration;
using Fairlead.Storage;
using Fairlead.Telemetry;

namespace Fairlead.Server.Hosting;

/// <summary>The gateway inside the program.</summary>
internal static class Composition
{
    public static void AddGateway(this WebApplicationBuilder builder, ConfigurationInput input)
    {
        builder.Services.AddGatewayConfiguration(input);
        builder.Services.AddStorage();
        builder.Services.AddCallers();
        builder.Services.AddTelemetry();
        builder.Services.AddHealth();
    }

    public static void MapGateway(this IEndpointRouteBuilder endpoints) => endpoints.MapHealth();
}
