using Fairlead.Errors;

namespace Fairlead.Http;

/// <summary>Errors that endpoints throw.</summary>
internal static class EndpointErrors
{
    /// <param name="kind">What the id should name, such as "project".</param>
    public static GatewayErrorException NotFound(string kind) =>
        new(new GatewayError(ErrorCode.NotFound, $"There is no {kind} with this id."));

    public static GatewayErrorException Conflict(string message, string remedy) =>
        new(new GatewayError(ErrorCode.Conflict, message) { Remedy = remedy });
}
