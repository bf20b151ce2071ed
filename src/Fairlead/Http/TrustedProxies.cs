using Fairlead.Configuration;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.HttpOverrides;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Fairlead.Http;

/// <summary>
/// Takes address, scheme and host of the client from the <c>X-Forwarded-…</c> headers of the proxies in <c>server.trustedProxies</c>.
/// Ignores these headers from all other addresses. Follows a reload. Thread-safe.
/// </summary>
internal sealed class TrustedProxies(IConfigurationSource configuration, ILoggerFactory loggers) : IStartupFilter
{
    private volatile Reader? _reader;

    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
    {
        app.Use((HttpContext context, RequestDelegate rest) =>
        {
            Apply(context);
            return rest(context);
        });
        next(app);
    };

    internal void Apply(HttpContext context)
    {
        var proxies = configuration.Current.Server.TrustedProxies;
        if (proxies.Count == 0) return;
        var reader = _reader;
        if (reader is null || !ReferenceEquals(reader.Proxies, proxies)) _reader = reader = new Reader(proxies, loggers);
        reader.Headers.ApplyForwarders(context);
    }

    private sealed class Reader
    {
        public Reader(IReadOnlyList<System.Net.IPNetwork> proxies, ILoggerFactory loggers)
        {
            Proxies = proxies;
            var options = new ForwardedHeadersOptions
            {
                ForwardedHeaders = ForwardedHeaders.XForwardedFor | ForwardedHeaders.XForwardedProto | ForwardedHeaders.XForwardedHost,
                // From right to left while the proxies are trusted: what the client sent itself is further left.
                ForwardLimit = null,
            };
            options.KnownProxies.Clear();
            options.KnownIPNetworks.Clear();
            foreach (var proxy in proxies) options.KnownIPNetworks.Add(proxy);
            Headers = new ForwardedHeadersMiddleware(_ => Task.CompletedTask, loggers, Options.Create(options));
        }

        public IReadOnlyList<System.Net.IPNetwork> Proxies { get; }

        public ForwardedHeadersMiddleware Headers { get; }
    }
}
