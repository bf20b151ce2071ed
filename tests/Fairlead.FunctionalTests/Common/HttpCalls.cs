using System.Net;
using System.Text;
using System.Text.Json;

namespace Fairlead.FunctionalTests.Common;

/// <summary>HTTP calls with JSON bodies. A call ends with the test unless it has its own token.</summary>
internal static class HttpCalls
{
    private static CancellationToken OfTheTest => TestContext.Current.CancellationToken;

    /// <summary>A request with a JSON body.</summary>
    public static HttpRequestMessage JsonRequest(HttpMethod method, string path, string body, IEnumerable<(string Name, string Value)>? headers = null)
    {
        var request = new HttpRequestMessage(method, path) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        foreach (var (name, value) in headers ?? []) request.Headers.TryAddWithoutValidation(name, value);
        return request;
    }

    /// <summary>Posts JSON. By default the result is there as soon as the headers are, so that a test can read a stream event by event.</summary>
    public static async Task<HttpResponseMessage> PostJsonAsync(
        this HttpClient client,
        string path,
        string body,
        IEnumerable<(string Name, string Value)>? headers = null,
        HttpCompletionOption completion = HttpCompletionOption.ResponseHeadersRead,
        CancellationToken? cancellationToken = null)
    {
        using var request = JsonRequest(HttpMethod.Post, path, body, headers);
        return await client.SendAsync(request, completion, cancellationToken ?? OfTheTest);
    }

    /// <summary>Posts JSON and reads the JSON of the response, which must be a success, or have the expected status.</summary>
    public static Task<JsonElement> PostForJsonAsync(this HttpClient client, string path, string body, HttpStatusCode? expected = null) =>
        client.SendForJsonAsync(HttpMethod.Post, path, body, expected);

    /// <summary>Reads JSON. The response must be a success, or have the expected status.</summary>
    public static async Task<JsonElement> GetJsonAsync(this HttpClient client, string path, HttpStatusCode? expected = null)
    {
        using var response = await client.GetAsync(new Uri(path, UriKind.Relative), OfTheTest);
        return await ReadAsync(response, path, expected);
    }

    /// <summary>Sends JSON and reads the JSON of the response, which must be a success, or have the expected status.</summary>
    public static async Task<JsonElement> SendForJsonAsync(this HttpClient client, HttpMethod method, string path, string body, HttpStatusCode? expected = null)
    {
        using var request = JsonRequest(method, path, body);
        using var response = await client.SendAsync(request, OfTheTest);
        return await ReadAsync(response, path, expected);
    }

    /// <summary>Posts JSON and reads the events of the response, which must have the status 200.</summary>
    public static async Task<SeenStream> PostForStreamAsync(this HttpClient client, string path, string body)
    {
        using var response = await client.PostJsonAsync(path, body);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        return await SeenStream.ReadAsync(response, OfTheTest);
    }

    private static async Task<JsonElement> ReadAsync(HttpResponseMessage response, string path, HttpStatusCode? expected)
    {
        var text = await response.Content.ReadAsStringAsync(OfTheTest);
        Assert.True(expected is { } status ? response.StatusCode == status : response.IsSuccessStatusCode, $"{path}: {(int)response.StatusCode} {text}");
        return JsonDocument.Parse(text).RootElement;
    }
}
