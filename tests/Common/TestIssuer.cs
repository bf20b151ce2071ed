using System.Buffers.Text;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Fairlead.Tests.Common;

/// <summary>
/// An identity provider in the test process: signs tokens itself, without the library that verifies them, and serves its discovery document
/// and keys, over a socket or as a handler. Thread-safe.
/// </summary>
public sealed class TestIssuer : HttpMessageHandler
{
    private readonly TimeProvider _time;
    private readonly HttpListener? _listener;
    private volatile Key _key = Key.NewRsa("k1");
    private volatile Key[] _published;
    private int _reads;

    /// <param name="time">The clock of its tokens.</param>
    /// <param name="listens">Whether it also listens on a port of this machine.</param>
    public TestIssuer(TimeProvider? time = null, bool listens = false)
    {
        _time = time ?? TimeProvider.System;
        _published = [_key];
        if (!listens) return;
        for (var attempt = 0; ; attempt++)
        {
            var listener = new HttpListener();
            Url = $"http://127.0.0.1:{RandomNumberGenerator.GetInt32(20_000, 60_000)}";
            listener.Prefixes.Add(Url + "/");
            try
            {
                listener.Start();
                _listener = listener;
                break;
            }
            catch (HttpListenerException) when (attempt < 20)
            {
                // The port is taken.
            }
        }
        _ = ServeAsync(_listener!);
    }

    public string Url { get; } = "http://127.0.0.1:1";

    /// <summary>Whether it is unavailable.</summary>
    public bool IsDown { get; set; }

    /// <summary>What it serves instead of its keys; null for its keys.</summary>
    public string? Keys { get; set; }

    /// <summary>Its public keys (JWKS).</summary>
    public string Jwks => $$"""{"keys":[{{string.Join(",", _published.Select(key => key.Jwk))}}]}""";

    /// <summary>How often its keys were read.</summary>
    public int Reads => Volatile.Read(ref _reads);

    /// <summary>Signs with a new key from now on, and publishes it beside the old one, or alone.</summary>
    public void Rotate(string id, bool keepsOld = true, bool elliptic = false)
    {
        var old = _key;
        _key = elliptic ? Key.NewEcdsa(id) : Key.NewRsa(id);
        _published = keepsOld ? [old, _key] : [_key];
    }

    /// <summary>A token for ten minutes with the usual claims.</summary>
    /// <param name="change">Changes the claims.</param>
    /// <param name="changeHeader">Changes the header.</param>
    public string Token(Action<JsonObject>? change = null, Action<JsonObject>? changeHeader = null)
    {
        var now = _time.GetUtcNow().ToUnixTimeSeconds();
        var claims = new JsonObject
        {
            ["iss"] = Url, ["aud"] = "fairlead", ["sub"] = "ada", ["iat"] = now, ["nbf"] = now, ["exp"] = now + 600,
        };
        change?.Invoke(claims);
        return Sign(claims.ToJsonString(), changeHeader);
    }

    /// <summary>Any text as the claims of a token with a right signature.</summary>
    public string Sign(string claims, Action<JsonObject>? changeHeader = null)
    {
        var header = new JsonObject { ["alg"] = _key.Algorithm, ["typ"] = "JWT", ["kid"] = _key.Id };
        changeHeader?.Invoke(header);
        var signed = $"{Encode(header.ToJsonString())}.{Encode(claims)}";
        return $"{signed}.{Base64Url.EncodeToString(_key.Sign(Encoding.ASCII.GetBytes(signed)))}";
    }

    /// <summary>A token whose HMAC has the public key as its secret: the classic confusion of algorithms.</summary>
    public string HmacByPublicKey()
    {
        var header = Encode($$"""{"alg":"HS256","typ":"JWT","kid":"{{_key.Id}}"}""");
        var signed = $"{header}.{Token().Split('.')[1]}";
        return $"{signed}.{Base64Url.EncodeToString(HMACSHA256.HashData(_key.PublicPem, Encoding.ASCII.GetBytes(signed)))}";
    }

    public static string Encode(string text) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes(text));

    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var (status, body) = Answer(request.RequestUri!.AbsolutePath);
        if (status == 0) throw new HttpRequestException("unavailable");
        return Task.FromResult(new HttpResponseMessage((HttpStatusCode)status) { Content = new StringContent(body, Encoding.UTF8, "application/json") });
    }

    private (int Status, string Body) Answer(string path)
    {
        if (IsDown) return (0, "");
        switch (path)
        {
            case "/.well-known/openid-configuration":
                return (200, $$"""{"issuer":"{{Url}}","jwks_uri":"{{Url}}/keys"}""");
            case "/keys":
                Interlocked.Increment(ref _reads);
                return (200, Keys ?? Jwks);
            default:
                return (404, "");
        }
    }

    private async Task ServeAsync(HttpListener listener)
    {
        try
        {
            while (true)
            {
                var context = await listener.GetContextAsync();
                var (status, body) = Answer(context.Request.Url!.AbsolutePath);
                context.Response.StatusCode = status == 0 ? 503 : status;
                await context.Response.OutputStream.WriteAsync(Encoding.UTF8.GetBytes(body));
                context.Response.Close();
            }
        }
        catch (Exception exception) when (exception is HttpListenerException or ObjectDisposedException)
        {
            // It was closed.
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) _listener?.Close();
        base.Dispose(disposing);
    }

    private sealed record Key(string Id, string Algorithm, string Jwk, byte[] PublicPem, Func<byte[], byte[]> Sign)
    {
        public static Key NewRsa(string id)
        {
            var rsa = RSA.Create(2048);
            var shown = rsa.ExportParameters(false);
            return new Key(id, "RS256",
                JsonSerializer.Serialize(new Dictionary<string, string>
                {
                    ["kty"] = "RSA", ["use"] = "sig", ["kid"] = id, ["n"] = Base64Url.EncodeToString(shown.Modulus), ["e"] = Base64Url.EncodeToString(shown.Exponent),
                }),
                Encoding.ASCII.GetBytes(rsa.ExportSubjectPublicKeyInfoPem()),
                data => rsa.SignData(data, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1));
        }

        public static Key NewEcdsa(string id)
        {
            var ecdsa = ECDsa.Create(ECCurve.NamedCurves.nistP256);
            var shown = ecdsa.ExportParameters(false);
            return new Key(id, "ES256",
                JsonSerializer.Serialize(new Dictionary<string, string>
                {
                    ["kty"] = "EC", ["use"] = "sig", ["crv"] = "P-256", ["kid"] = id, ["x"] = Base64Url.EncodeToString(shown.Q.X), ["y"] = Base64Url.EncodeToString(shown.Q.Y),
                }),
                Encoding.ASCII.GetBytes(ecdsa.ExportSubjectPublicKeyInfoPem()),
                data => ecdsa.SignData(data, HashAlgorithmName.SHA256));
        }
    }
}
