using System.Globalization;
using System.Net.Http.Headers;
using System.Net.Sockets;
using Fairlead.Security;

namespace Fairlead.Webhooks;

/// <summary>
/// Sends one attempt to a receiver. Only the status of the response counts; its body is read up to a limit and dropped. Thread-safe.
/// </summary>
internal sealed class WebhookSender : IDisposable
{
    /// <summary>From the first packet to the status. Standard Webhooks recommends 15 to 30 s.</summary>
    public static readonly TimeSpan Timeout = TimeSpan.FromSeconds(20);

    /// <summary>Maximum time and bytes for the rest of the response, so that well-behaved receivers are not disconnected.</summary>
    private static readonly TimeSpan DrainTimeout = TimeSpan.FromSeconds(2);

    private const int MaxDrained = 16 * 1024;

    private readonly WebhookRules _rules;
    private readonly TimeProvider _time;
    private readonly HttpMessageInvoker _client;

    public WebhookSender(WebhookRules rules, IHostResolver resolver, TimeProvider time)
    {
        _rules = rules;
        _time = time;
        _client = new HttpMessageInvoker(new GuardedConnector(resolver, () => rules.Addresses, time).MakeHandler());
    }

    /// <summary>Sends <paramref name="delivery"/>, signed at this moment with the current keys.</summary>
    /// <exception cref="OperationCanceledException">Only by <paramref name="cancellationToken"/>.</exception>
    public async Task<WebhookResult> SendAsync(Webhook webhook, WebhookDelivery delivery, CancellationToken cancellationToken)
    {
        var began = _time.GetTimestamp();
        // Checked again at every attempt: the rules may have changed since it was registered.
        var (url, fault) = _rules.Read(delivery.Url ?? webhook.Url ?? "");
        if (fault is not null) return Failed("url_not_allowed");

        var now = _time.GetUtcNow();
        var seconds = now.ToUnixTimeSeconds();
        using var request = new HttpRequestMessage(HttpMethod.Post, url) { Content = new ByteArrayContent(delivery.Payload) };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        request.Headers.Add("webhook-id", delivery.EventId);
        request.Headers.Add("webhook-timestamp", seconds.ToString(CultureInfo.InvariantCulture));
        request.Headers.TryAddWithoutValidation("webhook-signature",
            WebhookKey.Header(webhook.KeysAt(now), delivery.EventId, seconds, delivery.Payload));
        request.Headers.Add("User-Agent", "Fairlead-Webhooks");

        using var timeout = new CancellationTokenSource(Timeout, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        try
        {
            using var response = await _client.SendAsync(request, either.Token);
            var result = new WebhookResult((int)response.StatusCode, null, RetryAfter(response.Headers.RetryAfter),
                _time.GetElapsedTime(began));
            await DrainAsync(response, either.Token);
            return result;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return Failed("timeout");
        }
        catch (HttpRequestException exception)
        {
            return Failed(WordOf(exception));
        }
        catch (Exception exception) when (exception is IOException or SocketException or InvalidOperationException)
        {
            return Failed("connection");
        }

        WebhookResult Failed(string error) => new(null, error, null, _time.GetElapsedTime(began));
    }

    public void Dispose() => _client.Dispose();

    private async Task DrainAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        using var timeout = new CancellationTokenSource(DrainTimeout, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        try
        {
            await using var body = await response.Content.ReadAsStreamAsync(either.Token);
            var buffer = new byte[4096];
            var left = MaxDrained;
            while (left > 0 && await body.ReadAsync(buffer, either.Token) is > 0 and var read) left -= read;
        }
        catch (Exception exception) when (
            exception is IOException or HttpRequestException or SocketException or OperationCanceledException or InvalidOperationException)
        {
            // The status is valid; only the rest of the response is not read.
        }
    }

    private TimeSpan? RetryAfter(RetryConditionHeaderValue? header) => header switch
    {
        { Delta: { } delta } => delta,
        { Date: { } date } => date - _time.GetUtcNow(),
        _ => null,
    };

    // The history shows one of these codes: no address, and no text of another server.
    private static string WordOf(HttpRequestException exception)
    {
        for (Exception? inner = exception; inner is not null; inner = inner.InnerException)
        {
            switch (inner)
            {
                case ForbiddenAddressException:
                    return "address_not_allowed";
                case SocketException
                {
                    SocketErrorCode: SocketError.HostNotFound or SocketError.NoData or SocketError.TryAgain or SocketError.NoRecovery
                }:
                    return "dns";
            }
        }
        return exception.HttpRequestError switch
        {
            HttpRequestError.NameResolutionError => "dns",
            HttpRequestError.SecureConnectionError => "tls",
            HttpRequestError.ConnectionError => "connection",
            HttpRequestError.InvalidResponse or HttpRequestError.ResponseEnded or HttpRequestError.ConfigurationLimitExceeded => "protocol",
            _ => "connection",
        };
    }
}
