using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Fairlead.Server.Failover;

/// <summary>Sends the request of the suite in one of the APIs, and reads the response as its clients do. Thread-safe.</summary>
internal abstract class FailoverClient
{
    /// <summary>The text of the request.</summary>
    public const string Prompt = "Repeat the text of the failover suite.";

    protected const int MaxTokens = 256;

    /// <summary>The error of a response that ends because of the content policy.</summary>
    protected const string ContentFilter = "content_filter";

    /// <summary>No call takes longer.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private static readonly (string Name, FailoverClient Client)[] Known =
        [("chat", new ChatFailoverClient()), ("messages", new MessagesFailoverClient()), ("responses", new ResponsesFailoverClient())];

    /// <summary>Names of the APIs.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. Known.Select(entry => entry.Name)];

    /// <summary>The client of an API.</summary>
    public static FailoverClient Of(string name) => Known.First(entry => entry.Name == name).Client;

    protected abstract string Path { get; }

    protected abstract JsonObject Request(string model, bool isStream);

    /// <summary>Reads a whole response.</summary>
    protected abstract FailoverResponse Read(int status, JsonElement body);

    /// <summary>Reads one event of a stream into what came before.</summary>
    protected abstract FailoverResponse Read(FailoverResponse before, JsonElement data);

    /// <summary>Whether the stream ends in this way, beside its events; it is complete only if its finish reason says so too.</summary>
    protected virtual bool IsEnd(string data) => false;

    /// <summary>Sends it once, and reads the response to its end.</summary>
    /// <param name="http">A client with the address of the gateway.</param>
    /// <param name="key">The client key.</param>
    /// <param name="model">Name of the model.</param>
    /// <param name="isStream">Whether a stream is requested.</param>
    /// <param name="cancellationToken">Stops it. The timeout of the client does not cover the body of a stream.</param>
    public async Task<FailoverResponse> SendAsync(
        HttpClient http, string key, string model, bool isStream, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, Path);
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
        request.Content = new StringContent(Request(model, isStream).ToJsonString(), Encoding.UTF8, "application/json");
        using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
        var status = (int)response.StatusCode;
        if (response.IsSuccessStatusCode && isStream)
        {
            var stream = await response.Content.ReadAsStreamAsync(cancellationToken);
            return ReadEvents(status, await ReadStreamAsync(stream, cancellationToken));
        }
        var text = await response.Content.ReadAsStringAsync(cancellationToken);
        using var document = JsonDocument.Parse(text);
        return response.IsSuccessStatusCode
            ? Read(status, document.RootElement)
            : new FailoverResponse(status, "", CodeOf(document.RootElement), HasEnd: false, null);
    }

    protected static string CodeOf(JsonElement body) =>
        body.TryGetProperty("error", out var error) && Text(error, "code") is { } code ? code : "no code";

    protected static string? Text(JsonElement json, string name) =>
        json.ValueKind == JsonValueKind.Object && json.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String
            ? value.GetString() : null;

    // A stream with an error ends with an aborted connection, so that no client takes it for complete.
    private static async Task<string> ReadStreamAsync(Stream stream, CancellationToken cancellationToken)
    {
        using var text = new MemoryStream();
        var buffer = new byte[4096];
        try
        {
            while (await stream.ReadAsync(buffer, cancellationToken) is > 0 and var read) text.Write(buffer, 0, read);
        }
        catch (IOException)
        {
            // What came before counts: it must have an error.
        }
        return Encoding.UTF8.GetString(text.GetBuffer(), 0, (int)text.Length);
    }

    private FailoverResponse ReadEvents(int status, string text)
    {
        var read = new FailoverResponse(status, "", null, HasEnd: false, null);
        foreach (var line in text.Split('\n'))
        {
            if (!line.StartsWith("data: ", StringComparison.Ordinal)) continue;
            var data = line["data: ".Length..].TrimEnd('\r');
            if (IsEnd(data))
            {
                read = read with { HasEnd = read.IsFinished };
                continue;
            }
            // The end of the transport, which says nothing of the response in this API.
            if (data == "[DONE]") continue;
            using var document = JsonDocument.Parse(data);
            read = Read(read, document.RootElement);
        }
        return read;
    }
}
