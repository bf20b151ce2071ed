using System.Net;
using Fairlead.Access;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Responses;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Delivery;

/// <summary>One request of a client, independent of the transport that carried it.</summary>
internal interface IClientRequest
{
    /// <summary>The id of the request, which every response contains.</summary>
    string Id { get; }

    /// <summary>Whether the gateway created <see cref="Id"/>, so that other ids can be derived from it.</summary>
    bool HasGatewayId { get; }

    IHeaderDictionary Headers { get; }

    string Path { get; }

    IPAddress? RemoteAddress { get; }

    /// <summary>What the connection remembers between requests; null if it remembers nothing.</summary>
    ResponseSession? Session { get; }

    /// <summary>The address by which the client reached this server.</summary>
    /// <param name="configured">The address in the configuration, which has precedence; null for none.</param>
    PublicAddress SiteOf(string? configured);

    ValueTask<AuthenticationResult> AuthenticateAsync(ICallerSource callers, string? scope);

    /// <summary>Reads the whole body into the body of <paramref name="call"/>, once.</summary>
    /// <returns>Why the body was refused, or null.</returns>
    /// <exception cref="Memory.MemoryExhaustedException">There is no memory for the body; the call may have none.</exception>
    ValueTask<GatewayError?> ReadBodyAsync(GatewayCall call, RequestBounds limits);
}
