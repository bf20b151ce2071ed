using System.Net;
using System.Text;
using Fairlead.Access.Tokens;
using Fairlead.Tests.Common;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Access.Tokens;

public sealed class IssuerKeyReaderTests
{
    private const string Issuer = "https://login.example.com";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>A discovery document must not make this server read from itself or from its own network.</summary>
    [Theory]
    [InlineData(Issuer, "https://login.example.com/keys", "configured")]
    [InlineData(Issuer, "https://keys.example.org/keys", "guarded")]
    [InlineData(Issuer, "https://10.0.0.1/keys", "guarded")]
    [InlineData(Issuer, "https://169.254.169.254/keys", "guarded")]
    [InlineData(Issuer, "https://localhost/keys", null)]
    [InlineData(Issuer, "https://127.0.0.1:8443/keys", null)]
    [InlineData(Issuer, "https://[::1]/keys", null)]
    [InlineData(Issuer, "http://127.0.0.1/keys", null)]
    [InlineData(Issuer, "http://login.example.com/keys", null)]
    [InlineData("http://127.0.0.1:9000", "http://127.0.0.1:9000/keys", "configured")]
    [InlineData("http://127.0.0.1:9000", "http://localhost:9001/keys", "configured")]
    [InlineData("http://127.0.0.1:9000", "https://keys.example.org/keys", "guarded")]
    public async Task Read_AddressInTheDocument_IsReachedOnlyIfItMayBe(string issuer, string keys, string? by)
    {
        using var source = new TestIssuer();
        var asked = new List<string>();
        using var reader = new IssuerKeyReader(new Handler("configured", asked, Respond), new Handler("guarded", asked, Respond));
        var read = reader.ReadAsync(new IssuerConfig { Issuer = issuer }, Cancellation);
        if (by is null) await Assert.ThrowsAsync<FormatException>(() => read);
        else Assert.Single((await read).Keys);
        var document = $"configured {issuer}/.well-known/openid-configuration";
        Assert.Equal(by is null ? [document] : [document, $"{by} {keys}"], asked);

        HttpContent Respond(string path) => path == "/keys"
            ? new StringContent(source.Jwks) : new StringContent($$"""{"issuer":"{{issuer}}","jwks_uri":"{{keys}}"}""");
    }

    /// <summary>The guarded connection itself, with addresses that only a document names.</summary>
    [Theory]
    [InlineData("10.0.0.1")]
    [InlineData("127.0.0.1")]
    [InlineData("169.254.169.254")]
    public async Task Read_NameThatLeadsInside_IsNotReached(string address)
    {
        using var guarded = new Fairlead.Security.GuardedConnector(
            new OneAddress(IPAddress.Parse(address)), () => Fairlead.Security.AddressRules.PublicOnly, TimeProvider.System).MakeHandler();
        using var reader = new IssuerKeyReader(
            new Handler("configured", [], _ => new StringContent($$"""{"issuer":"{{Issuer}}","jwks_uri":"https://inside.example.org/keys"}""")), guarded);
        var error = await Assert.ThrowsAsync<HttpRequestException>(() => reader.ReadAsync(new IssuerConfig { Issuer = Issuer }, Cancellation));
        Assert.IsType<Fairlead.Security.ForbiddenAddressException>(error.InnerException);
    }

    public static TheoryData<string, string> Bodies => new()
    {
        { "application/json; charset=nonsense", "{" },
        { "application/json", """{"keys":[{"kty":"RSA","use":"sig","kid":"k","n":"!","e":"AQAB"}]}""" },
        { "application/json", """{"keys":[{"kty":"EC","use":"sig","kid":"k","crv":"P-999","x":"AA","y":"AA"}]}""" },
        { "application/json", """{"keys":[{"kty":"RSA","use":"sig","kid":"k","x5c":["AAAA"]}]}""" },
        { "application/json", """{"keys":[null]}""" },
        { "application/json", """{"keys":"x"}""" },
        { "application/json", """{"keys":[{"kid":"\ud800"}]}""" },
    };

    /// <summary>Whatever an issuer responds is no internal error of this server.</summary>
    [Theory]
    [MemberData(nameof(Bodies))]
    public async Task For_UnusableResponse_IsNull(string type, string body)
    {
        using var reader = new IssuerKeyReader(new Handler("", [], _ => ContentOf(type, body)), new Handler("", [], _ => throw new InvalidOperationException()));
        var keys = new IssuerKeys("x", new IssuerConfig { Issuer = Issuer, JwksUri = Issuer + "/keys" }, reader, TimeProvider.System, NullLogger.Instance);
        Assert.Null(await keys.ForAsync("k", Cancellation));
    }

    [Fact]
    public async Task For_UnknownCharacterSet_ReadsTheKeys()
    {
        using var source = new TestIssuer();
        using var reader = new IssuerKeyReader(
            new Handler("", [], _ => ContentOf("application/json; charset=nonsense", source.Jwks)), new Handler("", [], _ => throw new InvalidOperationException()));
        var keys = new IssuerKeys("x", new IssuerConfig { Issuer = Issuer, JwksUri = Issuer + "/keys" }, reader, TimeProvider.System, NullLogger.Instance);
        Assert.NotNull(await keys.ForAsync("k1", Cancellation));
    }

    private static ByteArrayContent ContentOf(string type, string body)
    {
        var content = new ByteArrayContent(Encoding.UTF8.GetBytes(body));
        content.Headers.TryAddWithoutValidation("Content-Type", type);
        return content;
    }

    private sealed class OneAddress(IPAddress address) : Fairlead.Security.IHostResolver
    {
        public Task<IPAddress[]> ResolveAsync(string host, CancellationToken cancellationToken) => Task.FromResult<IPAddress[]>([address]);
    }

    private sealed class Handler(string name, List<string> asked, Func<string, HttpContent> respond) : HttpMessageHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            asked.Add($"{name} {request.RequestUri}");
            return Task.FromResult(new HttpResponseMessage(HttpStatusCode.OK) { Content = respond(request.RequestUri!.AbsolutePath) });
        }
    }
}
