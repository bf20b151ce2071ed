using System.Net;

namespace Fairlead.Providers.Http;

/// <summary>Requests a path of a provider with GET, as a sign of life. The body is not read.</summary>
internal static class PathRequest
{
    /// <summary>The response; without a status if there was none within <paramref name="timeout"/>.</summary>
    /// <param name="client">Client of the provider.</param>
    /// <param name="uri">The address.</param>
    /// <param name="keys">Keys of the provider.</param>
    /// <param name="header">The header that holds the key.</param>
    /// <param name="timeout">For connection and headers.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public static async ValueTask<PathResponse> SendAsync(
        UpstreamClient client, Uri uri, ApiKeyRing keys, string header, TimeSpan timeout, CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(timeout, client.Time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
        using var request = client.CreateGet(uri);
        var key = keys.Next();
        if (key is not null) request.Headers.TryAddWithoutValidation(header, key.Value);
        try
        {
            using var response = await client.SendAsync(request, both.Token);
            if (response.IsSuccessStatusCode) key?.Accepted();
            var isRejected = response.StatusCode == HttpStatusCode.Unauthorized && key?.Rejected() == true;
            return new PathResponse((int)response.StatusCode, isRejected);
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException or OperationCanceledException)
        {
            cancellationToken.ThrowIfCancellationRequested();
            return default;
        }
    }
}
