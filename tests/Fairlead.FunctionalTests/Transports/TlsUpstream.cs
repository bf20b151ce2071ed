using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Fairlead.FunctionalTests.Common;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Fairlead.FunctionalTests.Transports;

/// <summary>A model server behind TLS with a certificate of its own making, which a process trusts by SSL_CERT_FILE.</summary>
internal sealed class TlsUpstream : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly X509Certificate2 _certificate;

    private TlsUpstream(WebApplication app, X509Certificate2 certificate)
    {
        _app = app;
        _certificate = certificate;
    }

    public string Url { get; private set; } = "";

    /// <summary>The protocol and the connection of each request, in order.</summary>
    public ConcurrentQueue<(string Protocol, string Connection)> Seen { get; } = new();

    public Func<HttpContext, Task> Answer { get; set; } = context => FakeUpstream.Json(context, FakeUpstream.Completion("over TLS"));

    public static async Task<TlsUpstream> StartAsync(HttpProtocols protocols)
    {
        var certificate = MakeCertificate();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen =>
        {
            listen.Protocols = protocols;
            listen.UseHttps(certificate);
        }));
        var upstream = new TlsUpstream(builder.Build(), certificate);
        upstream._app.Run(async context =>
        {
            upstream.Seen.Enqueue((context.Request.Protocol, context.Connection.Id));
            await context.Request.Body.CopyToAsync(Stream.Null, context.RequestAborted);
            await upstream.Answer(context);
        });
        await upstream._app.StartAsync();
        upstream.Url = upstream._app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        return upstream;
    }

    /// <summary>Writes the certificate where a process may be told to look for the ones it trusts.</summary>
    public async Task<string> WriteCertificateAsync(string folder)
    {
        var path = Path.Combine(folder, "trusted.pem");
        await File.WriteAllTextAsync(path, _certificate.ExportCertificatePem());
        return path;
    }

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync(new CancellationToken(canceled: true));
        await _app.DisposeAsync();
        _certificate.Dispose();
    }

    private static X509Certificate2 MakeCertificate()
    {
        using var key = RSA.Create(2048);
        var request = new CertificateRequest("CN=fairlead test", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, pathLengthConstraint: 0, critical: true));
        var now = TimeProvider.System.GetUtcNow();
        using var made = request.CreateSelfSigned(now.AddDays(-1), now.AddDays(1));
        // A key that lives in memory only is refused by some platforms' TLS.
        return X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pfx), null);
    }
}
