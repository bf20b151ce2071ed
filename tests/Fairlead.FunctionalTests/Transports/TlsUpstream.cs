using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Fairlead.FunctionalTests.Transports;

/// <summary>A model server behind TLS with a self-signed certificate. SSL_CERT_FILE makes a process trust it.</summary>
internal sealed class TlsUpstream : IAsyncDisposable
{
    private readonly FakeUpstream _upstream;
    private readonly X509Certificate2 _certificate;

    private TlsUpstream(FakeUpstream upstream, X509Certificate2 certificate)
    {
        _upstream = upstream;
        _certificate = certificate;
    }

    public string Url => _upstream.Url;

    /// <summary>The requests, in order.</summary>
    public IReadOnlyCollection<ReceivedRequest> Seen => _upstream.Requests;

    public Func<HttpContext, Task> Answer
    {
        get => _upstream.Answer;
        set => _upstream.Answer = value;
    }

    public static async Task<TlsUpstream> StartAsync(HttpProtocols protocols)
    {
        var certificate = MakeCertificate();
        var upstream = await FakeUpstream.StartAsync(context => FakeUpstream.Json(context, FakeUpstream.Completion("over TLS")), listen =>
        {
            listen.Protocols = protocols;
            listen.UseHttps(certificate);
        });
        return new TlsUpstream(upstream, certificate);
    }

    /// <summary>Writes the certificate to a file that a process can be configured to trust.</summary>
    public async Task<string> WriteCertificateAsync(string folder)
    {
        var path = Path.Combine(folder, "trusted.pem");
        await File.WriteAllTextAsync(path, _certificate.ExportCertificatePem());
        return path;
    }

    public async ValueTask DisposeAsync()
    {
        await _upstream.DisposeAsync();
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
