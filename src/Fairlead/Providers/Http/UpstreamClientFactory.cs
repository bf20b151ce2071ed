using Fairlead.Telemetry;
using Microsoft.Extensions.Logging;

namespace Fairlead.Providers.Http;

/// <summary>Creates the HTTP client of a provider. Thread-safe.</summary>
internal sealed class UpstreamClientFactory(
    TimeProvider time, ILoggerFactory loggers, RepeatedLines? lines = null, UpstreamRedirect? redirect = null)
{
    /// <param name="name">The provider's name in the configuration.</param>
    /// <param name="config">Its timeouts and headers.</param>
    public UpstreamClient Create(string name, ProviderConfig config) =>
        new(config, time, LimitedLogger.Of(loggers.CreateLogger($"Fairlead.Providers.{name}"), lines),
            redirect is null ? null : network => redirect.For(name, network));

    /// <summary>
    /// <paramref name="path"/> below the provider's base URL, whether or not that ends in a slash.
    /// </summary>
    /// <exception cref="ArgumentException">The base URL is not an absolute http or https address.</exception>
    public static Uri Address(string baseUrl, string path)
    {
        if (!Uri.TryCreate(baseUrl.TrimEnd('/') + path, UriKind.Absolute, out var uri) || uri.Scheme is not ("http" or "https"))
        {
            throw new ArgumentException($"The base URL '{baseUrl}' is not an absolute http or https address.", nameof(baseUrl));
        }
        return uri;
    }
}
