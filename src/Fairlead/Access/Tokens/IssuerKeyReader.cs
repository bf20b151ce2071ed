using System.Text.Json;

namespace Fairlead.Access.Tokens;

/// <summary>Reads the signing keys of an issuer over HTTP: its discovery document unless the address of the keys is configured, then the keys. Thread-safe.</summary>
internal sealed class IssuerKeyReader : IDisposable
{
    /// <summary>Bytes of a document. Key sets have a few KiB.</summary>
    internal const int MaxBytes = 512 * 1024;

    internal static readonly TimeSpan Timeout = TimeSpan.FromSeconds(5);

    private readonly HttpClient _http;

    /// <param name="handler">Sends; null for the network.</param>
    public IssuerKeyReader(HttpMessageHandler? handler = null) => _http = new HttpClient(handler ?? new SocketsHttpHandler
    {
        // A redirect could lead to an address that nobody configured.
        AllowAutoRedirect = false,
        UseCookies = false,
        PooledConnectionLifetime = TimeSpan.FromMinutes(5),
    })
    {
        MaxResponseContentBufferSize = MaxBytes,
        Timeout = System.Threading.Timeout.InfiniteTimeSpan,
    };

    /// <exception cref="HttpRequestException">The issuer cannot be reached, or refuses.</exception>
    /// <exception cref="FormatException">A document is not what it should be.</exception>
    public async Task<IssuerKeySet> ReadAsync(IssuerConfig issuer, CancellationToken cancellationToken) =>
        IssuerKeySet.Parse(await GetAsync(issuer.JwksUri ?? await DiscoverAsync(issuer, cancellationToken), cancellationToken));

    private async Task<string> DiscoverAsync(IssuerConfig issuer, CancellationToken cancellationToken)
    {
        var address = $"{(issuer.Authority ?? issuer.Issuer).TrimEnd('/')}/.well-known/openid-configuration";
        try
        {
            using var document = JsonDocument.Parse(await GetAsync(address, cancellationToken));
            var root = document.RootElement;
            // OpenID Connect Discovery, 4.3: another issuer's document must not be used.
            if (root.GetProperty("issuer").GetString() != issuer.Issuer)
                throw new FormatException("The discovery document is that of another issuer.");
            var keys = root.GetProperty("jwks_uri").GetString() ?? "";
            return IssuerAddress.ErrorOf(keys) is null ? keys
                : throw new FormatException("The discovery document names no usable address of keys.");
        }
        catch (Exception exception) when (exception is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new FormatException("The discovery document cannot be read.", exception);
        }
    }

    private async Task<string> GetAsync(string address, CancellationToken cancellationToken)
    {
        using var response = await _http.GetAsync(new Uri(address), cancellationToken);
        if (!response.IsSuccessStatusCode)
            throw new HttpRequestException($"HTTP {(int)response.StatusCode}", null, response.StatusCode);
        return await response.Content.ReadAsStringAsync(cancellationToken);
    }

    public void Dispose() => _http.Dispose();
}
