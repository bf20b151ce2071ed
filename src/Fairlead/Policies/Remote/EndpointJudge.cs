using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text.Json;
using Fairlead.Configuration;
using Fairlead.Policies.Matching;
using Fairlead.Security;

namespace Fairlead.Policies.Remote;

/// <summary>
/// Asks a moderation endpoint in OpenAI's form. It connects only to addresses that the configuration allows, and follows no redirect.
/// Thread-safe.
/// </summary>
internal sealed class EndpointJudge : IDisposable
{
    /// <summary>Far above any list of categories.</summary>
    private const int MaxResponseBytes = 256 * 1024;

    private readonly IConfigurationSource _configuration;
    private readonly HttpMessageInvoker _client;

    public EndpointJudge(IConfigurationSource configuration, IHostResolver resolver, TimeProvider time)
    {
        _configuration = configuration;
        _client = new HttpMessageInvoker(
            new GuardedConnector(resolver, () => new AddressRules(configuration.Current.ContentPolicy.AllowedNetworks), time).MakeHandler());
    }

    /// <returns>The verdict, and why there is none: one word, without any text of the endpoint.</returns>
    public async Task<(JudgeVerdict Verdict, string? Problem)> JudgeAsync(string address, string text, CancellationToken cancellationToken)
    {
        var config = _configuration.Current.ContentPolicy;
        // The rules may have changed since the policy was stored.
        if (OutboundUrl.Read(address, new AddressRules(config.AllowedNetworks), config.AllowHttp).Url is not { } url)
            return (JudgeVerdict.Unavailable, "url_not_allowed");
        using var request = new HttpRequestMessage(HttpMethod.Post, url) { Content = new ByteArrayContent(BodyOf(text)) };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        request.Headers.Add("User-Agent", "Fairlead-Policies");
        try
        {
            using var response = await _client.SendAsync(request, cancellationToken);
            if (!response.IsSuccessStatusCode) return (JudgeVerdict.Unavailable, "status");
            return await ReadAsync(response, cancellationToken) is { } flagged
                ? (flagged ? JudgeVerdict.Match : JudgeVerdict.Clear, null)
                : (JudgeVerdict.Unavailable, "response");
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException or SocketException or InvalidOperationException)
        {
            return (JudgeVerdict.Unavailable, "connection");
        }
    }

    public void Dispose() => _client.Dispose();

    private static byte[] BodyOf(string text)
    {
        var buffer = new System.Buffers.ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("input", text);
            json.WriteEndObject();
        }
        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>Whether any result is flagged; null if the response has another form or is too long.</summary>
    private static async Task<bool?> ReadAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        await using var body = await response.Content.ReadAsStreamAsync(cancellationToken);
        var buffer = new byte[MaxResponseBytes];
        var length = await body.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellationToken);
        if (length == buffer.Length) return null;
        try
        {
            using var document = JsonDocument.Parse(buffer.AsMemory(0, length));
            if (document.RootElement.ValueKind != JsonValueKind.Object
                || !document.RootElement.TryGetProperty("results", out var results) || results.ValueKind != JsonValueKind.Array
                || results.GetArrayLength() == 0)
            {
                return null;
            }
            var any = false;
            foreach (var result in results.EnumerateArray())
            {
                if (result.ValueKind != JsonValueKind.Object || !result.TryGetProperty("flagged", out var flagged)
                    || flagged.ValueKind is not (JsonValueKind.True or JsonValueKind.False))
                {
                    return null;
                }
                any |= flagged.GetBoolean();
            }
            return any;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
