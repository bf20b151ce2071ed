using System.Net;
using System.Net.Http.Headers;

namespace Fairlead.Providers.Http;

/// <summary>Sends a moderation request to a provider.</summary>
internal static class ModerationRequest
{
    /// <summary>A thousand results have less.</summary>
    private const int MaxResponseBytes = 4 * 1024 * 1024;

    /// <param name="client">Client of the provider.</param>
    /// <param name="uri">The address.</param>
    /// <param name="keys">Keys of the provider.</param>
    /// <param name="header">The header that holds the key.</param>
    /// <param name="body">The request.</param>
    /// <param name="timeout">For the whole response.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public static async ValueTask<ModerationReply> SendAsync(
        UpstreamClient client, Uri uri, ApiKeyRing keys, string header, byte[] body, TimeSpan timeout, CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(timeout, client.Time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
        using var request = client.CreateGet(uri);
        request.Method = HttpMethod.Post;
        request.Content = new ByteArrayContent(body);
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        var key = keys.Next();
        if (key is not null) request.Headers.TryAddWithoutValidation(header, key.Value);
        try
        {
            using var response = await client.SendAsync(request, both.Token);
            if (response.StatusCode == HttpStatusCode.Unauthorized) key?.Rejected();
            if (!response.IsSuccessStatusCode) return new ModerationReply((int)response.StatusCode, []);
            key?.Accepted();
            await using var stream = await response.Content.ReadAsStreamAsync(both.Token);
            using var content = new MemoryStream();
            var buffer = new byte[16 * 1024];
            while (await stream.ReadAsync(buffer, both.Token) is > 0 and var read)
            {
                if (content.Length + read > MaxResponseBytes) return new ModerationReply(502, []);
                content.Write(buffer, 0, read);
            }
            return new ModerationReply((int)response.StatusCode, content.ToArray());
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException or OperationCanceledException)
        {
            cancellationToken.ThrowIfCancellationRequested();
            return new ModerationReply(exception is OperationCanceledException ? null : 502, []);
        }
    }
}
