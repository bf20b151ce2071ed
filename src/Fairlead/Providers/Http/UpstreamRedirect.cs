namespace Fairlead.Providers.Http;

/// <summary>
/// Sends all requests to providers to one server instead, so that none leaves the machine: for tests of a configuration. The provider's
/// name is the first segment of the path; the rest of the address, the headers and the body are those that the provider would get.
/// Immutable; thread-safe.
/// </summary>
/// <param name="server">An http address without a path, on this machine.</param>
/// <exception cref="ArgumentException">The address is not on this machine.</exception>
internal sealed class UpstreamRedirect(Uri server)
{
    private readonly Uri _server = server is { IsLoopback: true, Scheme: "http" } ? server
        : throw new ArgumentException("Requests can be redirected to an http address of this machine only.", nameof(server));

    /// <summary>Redirects what a client of a provider sends.</summary>
    public HttpMessageHandler For(string provider, SocketsHttpHandler network)
    {
        // A proxy of the environment would send it elsewhere.
        network.UseProxy = false;
        return new Handler(_server, provider, network);
    }

    private sealed class Handler(Uri server, string provider, HttpMessageHandler network) : DelegatingHandler(network)
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            request.RequestUri = new Uri(server, $"/{Uri.EscapeDataString(provider)}{request.RequestUri!.PathAndQuery}");
            request.Headers.Host = null;
            return base.SendAsync(request, cancellationToken);
        }
    }
}
