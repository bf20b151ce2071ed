using System.Text;
using System.Text.Json;
using Fairlead.Security;

namespace Fairlead.Access.Tokens;

/// <summary>
/// Reads the signing keys of an issuer over HTTP: its discovery document unless the address of the keys is configured, then the keys. An
/// address on another host, which only the document names, is reached if it is public. Thread-safe.
/// </summary>
internal sealed class IssuerKeyReader : IDisposable
{
    /// <summary>Bytes of a document. Key sets have a few KiB.</summary>
    internal const int MaxBytes = 512 * 1024;

    internal static readonly TimeSpan Timeout = TimeSpan.FromSeconds(5);

    private readonly HttpClient _http;
    private readonly HttpClient _guarded;

    /// <param name="resolver">Resolves the addresses of hosts that only a document names.</param>
    /// <param name="time">The clock.</param>
    public IssuerKeyReader(IHostResolver resolver, TimeProvider time)
        : this(
            new SocketsHttpHandler
            {
                // A redirect could lead to an address that nobody configured.
                AllowAutoRedirect = false,
                UseCookies = false,
                PooledConnectionLifetime = TimeSpan.FromMinutes(5),
            },
            new GuardedConnector(resolver, () => AddressRules.PublicOnly, time).MakeHandler())
    {
    }

    /// <param name="configured">Sends to hosts that the operator configured.</param>
    /// <param name="guarded">Sends to hosts that only a document names.</param>
    internal IssuerKeyReader(HttpMessageHandler configured, HttpMessageHandler guarded) =>
        (_http, _guarded) = (ClientOf(configured), ClientOf(guarded));

    /// <exception cref="HttpRequestException">The issuer cannot be reached, or refuses.</exception>
    /// <exception cref="FormatException">A document is not what it should be.</exception>
    public async Task<IssuerKeySet> ReadAsync(IssuerConfig issuer, CancellationToken cancellationToken)
    {
        if (issuer.JwksUri is { } configured)
            return IssuerKeySet.Parse(await GetAsync(_http, new Uri(configured), cancellationToken));
        var source = new Uri($"{(issuer.Authority ?? issuer.Issuer).TrimEnd('/')}/.well-known/openid-configuration");
        var keys = AddressIn(await GetAsync(_http, source, cancellationToken), issuer, source);
        return IssuerKeySet.Parse(
            await GetAsync(IssuerAddress.IsConfigured(keys, source) ? _http : _guarded, keys, cancellationToken));
    }

    private static Uri AddressIn(string text, IssuerConfig issuer, Uri source)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            var root = document.RootElement;
            // OpenID Connect Discovery, 4.3: another issuer's document must not be used.
            if (root.GetProperty("issuer").GetString() != issuer.Issuer)
                throw new FormatException("The discovery document is that of another issuer.");
            var keys = root.GetProperty("jwks_uri").GetString() ?? "";
            return IssuerAddress.ErrorOf(keys, source) is null ? new Uri(keys)
                : throw new FormatException("The discovery document names no usable address of keys.");
        }
        catch (Exception exception) when (exception is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new FormatException("The discovery document cannot be read.", exception);
        }
    }

    // As UTF-8, which JSON always is: the response may name a character set that does not exist.
    private static async Task<string> GetAsync(HttpClient http, Uri address, CancellationToken cancellationToken)
    {
        using var response = await http.GetAsync(address, cancellationToken);
        if (!response.IsSuccessStatusCode)
            throw new HttpRequestException($"HTTP {(int)response.StatusCode}", null, response.StatusCode);
        return Encoding.UTF8.GetString(await response.Content.ReadAsByteArrayAsync(cancellationToken)).TrimStart('\uFEFF');
    }

    private static HttpClient ClientOf(HttpMessageHandler handler) => new(handler)
    {
        MaxResponseContentBufferSize = MaxBytes,
        Timeout = System.Threading.Timeout.InfiniteTimeSpan,
    };

    public void Dispose()
    {
        _http.Dispose();
        _guarded.Dispose();
    }
}
