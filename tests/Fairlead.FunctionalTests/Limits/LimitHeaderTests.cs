using System.Net;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Limits;

/// <summary>The limits of a call in the headers of every delivery of every dialect, and in the <c>fairlead</c> object.</summary>
public sealed class LimitHeaderTests(LimitedGateway fixture) : IClassFixture<LimitedGateway>
{
    private const string OpenAi = "openai";
    private const string Anthropic = "anthropic";
    private const string Own = "own";

    private const string Chat = "/v1/chat/completions";
    private const string Hello = "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]";
    private const string Completion = "{\"model\":\"sim-fast\"," + Hello;
    private const string Message = "{\"model\":\"sim-fast\",\"max_tokens\":20," + Hello;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public static TheoryData<string, string, string, string, int> Deliveries => new()
    {
        { OpenAi, Chat, Completion + "}", "", 200 },
        { OpenAi, Chat, Completion + ",\"stream\":true}", "", 200 },
        { OpenAi, Chat, Completion + "}", "Prefer: respond-async", 202 },
        { OpenAi, Chat, Completion + "}", "Prefer: respond-async, wait=30", 200 },
        { OpenAi, "/v1/completions", "{\"model\":\"sim-fast\",\"prompt\":\"hi\"}", "", 200 },
        { OpenAi, "/v1/completions", "{\"model\":\"sim-fast\",\"prompt\":\"hi\",\"stream\":true}", "", 200 },
        { OpenAi, "/v1/embeddings", "{\"model\":\"sim-embed\",\"input\":\"hi\"}", "", 200 },
        { OpenAi, "/v1/responses", "{\"model\":\"sim-fast\",\"input\":\"hi\"}", "", 200 },
        { OpenAi, "/v1/responses", "{\"model\":\"sim-fast\",\"input\":\"hi\",\"stream\":true}", "", 200 },
        { OpenAi, "/v1/responses", "{\"model\":\"sim-fast\",\"input\":\"hi\",\"background\":true}", "", 200 },
        { OpenAi, "/v1/responses", "{\"model\":\"sim-fast\",\"input\":\"hi\",\"background\":true,\"stream\":true}", "", 200 },
        { OpenAi, "/v1/responses/input_tokens", "{\"model\":\"sim-fast\",\"input\":\"hi\"}", "", 200 },
        { Anthropic, "/v1/messages", Message + "}", "", 200 },
        { Anthropic, "/v1/messages", Message + ",\"stream\":true}", "", 200 },
        { Anthropic, "/v1/messages", Message + "}", "Prefer: respond-async", 202 },
        { Anthropic, "/v1/messages/count_tokens", Completion + "}", "", 200 },
        { Own, "/v2/generations", "{\"model\":\"sim-fast\",\"input\":\"hi\"}", "", 200 },
        { Own, "/v2/generations", "{\"model\":\"sim-fast\",\"input\":\"hi\",\"delivery\":{\"mode\":\"stream\",\"on_disconnect\":\"continue\"}}", "", 200 },
        { Own, "/v2/generations", "{\"model\":\"sim-fast\",\"input\":\"hi\",\"delivery\":{\"mode\":\"sync\"}}", "", 200 },
        { Own, "/v2/generations", "{\"model\":\"sim-fast\",\"input\":\"hi\",\"delivery\":{\"mode\":\"job\"}}", "", 202 },
        { Own, "/v2/generations", "{\"model\":\"sim-fast\",\"input\":\"hi\",\"delivery\":{\"mode\":\"auto\",\"wait_seconds\":30}}", "", 200 },
        { Own, "/v2/estimates", "{\"model\":\"sim-fast\",\"input\":\"hi\"}", "", 200 },

        // Refused before and after the reservation, by a limit, and by a bug.
        { OpenAi, Chat, "{", "", 400 },
        { OpenAi, Chat, "{\"model\":\"none\"," + Hello + "}", "", 404 },
        { OpenAi, Chat, Completion + "}", "Idempotency-Key: a key", 400 },
        { OpenAi, Chat, "{\"model\":\"full\"," + Hello + "}", "", 429 },
        { OpenAi, Chat, "{\"model\":\"full\"," + Hello + ",\"stream\":true}", "", 429 },
        { OpenAi, Chat, "{\"model\":\"full\"," + Hello + "}", "Prefer: respond-async", 429 },
        { OpenAi, Chat, "{\"model\":\"bad\"," + Hello + "}", "", 500 },
        { OpenAi, Chat, Completion + "}", "Fairlead-Simulate: status=429; retry_after=2", 429 },
        { OpenAi, "/v1/responses", "{\"model\":\"full\",\"input\":\"hi\",\"stream\":true}", "", 429 },
        { Anthropic, "/v1/messages", "{\"model\":\"full\",\"max_tokens\":20," + Hello + "}", "", 429 },
        { Anthropic, "/v1/messages", "{\"model\":\"none\",\"max_tokens\":20," + Hello + "}", "", 404 },
        { Own, "/v2/generations", "{\"model\":\"full\",\"input\":\"hi\"}", "", 429 },
        { Own, "/v2/generations", "{\"model\":\"sim-fast\"}", "", 400 },
    };

    [Theory]
    [MemberData(nameof(Deliveries))]
    public async Task Response_AnyDelivery_HasTheHeadersOfItsDialect(string dialect, string path, string body, string header, int status)
    {
        using var response = await SendAsync(fixture.Gateway.Client, path, body, header);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(status == (int)response.StatusCode, $"{(int)response.StatusCode}: {text}");

        Assert.Contains("\"key-requests\";q=60;w=60", Value(response, "RateLimit-Policy")!, StringComparison.Ordinal);
        Assert.Contains("\"project-output-tokens\";q=8000;w=60;qu=\"fairlead-tokens\"", Value(response, "RateLimit-Policy")!, StringComparison.Ordinal);
        Assert.Contains("\"key-requests\";r=57", Value(response, "RateLimit")!, StringComparison.Ordinal);
        Assert.DoesNotContain("per-request", Value(response, "RateLimit")!, StringComparison.Ordinal);

        Assert.Equal(dialect == OpenAi ? "60" : null, Value(response, "x-ratelimit-limit-requests"));
        Assert.Equal(dialect == OpenAi ? "57" : null, Value(response, "x-ratelimit-remaining-requests"));
        Assert.Equal(dialect == OpenAi ? "1000" : null, Value(response, "x-ratelimit-remaining-tokens"));
        if (dialect == OpenAi) Assert.Matches("^[0-9]+h[0-9]{1,2}m[0-9]{1,2}s$", Value(response, "x-ratelimit-reset-tokens"));
        Assert.Equal(dialect == Anthropic ? "57" : null, Value(response, "anthropic-ratelimit-requests-remaining"));
        Assert.Equal(dialect == Anthropic ? "1000" : null, Value(response, "anthropic-ratelimit-tokens-remaining"));
        Assert.Equal(dialect == Anthropic ? "8000" : null, Value(response, "anthropic-ratelimit-output-tokens-limit"));
        Assert.Equal(dialect == Anthropic ? "2098-12-31T23:00:00Z" : null, Value(response, "anthropic-ratelimit-output-tokens-reset"));

        // No client that waits as long as it is told comes before the end of a window.
        if (Value(response, "Retry-After") is { } wait)
        {
            foreach (var part in Value(response, "RateLimit")!.Split(';').Where(part => part.StartsWith("t=", StringComparison.Ordinal)))
                Assert.True(int.Parse(part.Split(',')[0][2..], null) <= int.Parse(wait, null));
        }
    }

    public static TheoryData<string, string, string> Reserving => new()
    {
        { Chat, Completion + "}", "" },
        { Chat, Completion + ",\"stream\":true}", "" },
        { Chat, Completion + "}", "Prefer: respond-async" },
        { "/v1/embeddings", "{\"model\":\"sim-embed\",\"input\":\"hi\"}", "" },
        { "/v1/responses", "{\"model\":\"sim-fast\",\"input\":\"hi\",\"stream\":true}", "" },
        { "/v1/responses", "{\"model\":\"sim-fast\",\"input\":\"hi\",\"background\":true}", "" },
        { "/v1/messages", Message + ",\"stream\":true}", "" },
        { "/v2/generations", "{\"model\":\"sim-fast\",\"input\":\"hi\"}", "" },
        { "/v2/generations", "{\"model\":\"sim-fast\",\"input\":\"hi\",\"delivery\":{\"mode\":\"stream\",\"on_disconnect\":\"continue\"}}", "" },
        { "/v2/generations", "{\"model\":\"sim-fast\",\"input\":\"hi\",\"delivery\":{\"mode\":\"auto\",\"wait_seconds\":30}}", "" },
        { Chat, "{\"model\":\"full\"," + Hello + "}", "" },
    };

    [Theory]
    [MemberData(nameof(Reserving))]
    public async Task Warning_FromTheReservation_IsInTheHeaderAndInTheBody(string path, string body, string header)
    {
        using var response = await SendAsync(fixture.Gateway.Client, path, body, header);
        Assert.Equal("limit_near", Value(response, "Fairlead-Warning"));
        var text = await response.Content.ReadAsStringAsync(Cancel);
        // Neither a job that has not run nor an error has a place for it.
        if (response.StatusCode == HttpStatusCode.OK && !body.Contains("background", StringComparison.Ordinal))
            Assert.Contains("{\"code\":\"limit_near\",\"message\":", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(Chat, Completion + "}")]
    [InlineData(Chat, Completion + ",\"stream\":true}")]
    [InlineData("/v1/completions", "{\"model\":\"sim-fast\",\"prompt\":\"hi\"}")]
    [InlineData("/v1/embeddings", "{\"model\":\"sim-fast\",\"input\":\"hi\"}")]
    [InlineData("/v1/responses", "{\"model\":\"sim-fast\",\"input\":\"hi\",\"stream\":true}")]
    [InlineData("/v1/messages", Message + "}")]
    [InlineData("/v1/messages", Message + ",\"stream\":true}")]
    [InlineData("/v2/generations", "{\"model\":\"sim-fast\",\"input\":\"hi\"}")]
    [InlineData("/v2/generations", "{\"model\":\"sim-fast\",\"input\":\"hi\",\"delivery\":{\"mode\":\"sync\"}}")]
    [InlineData("/v2/generations", "{\"model\":\"sim-fast\",\"input\":\"hi\",\"delivery\":{\"mode\":\"stream\",\"on_disconnect\":\"continue\"}}")]
    public async Task Body_EveryDialect_ListsTheLimits(string path, string body)
    {
        body = path == "/v1/embeddings" ? body.Replace("sim-fast", "sim-embed", StringComparison.Ordinal) : body;
        using var response = await SendAsync(fixture.Gateway.Client, path, body, "");
        var text = await response.Content.ReadAsStringAsync(Cancel);
        var limits = Assert.Single(Lists(text));
        Assert.Equal(["requests_per_minute", "output_tokens_per_minute", .. path == "/v1/embeddings" ? (string[])[] : ["usd_per_month"]], limits.EnumerateArray().Select(limit => limit.GetProperty("name").GetString()!));
        Assert.Equal(57, limits[0].GetProperty("remaining").GetInt64());
        if (limits.GetArrayLength() == 3) Assert.Equal(87.75m, limits[2].GetProperty("remaining").GetDecimal());
    }

    [Fact]
    public async Task Response_KeyWithoutExtensions_KeepsTheHeadersOnly()
    {
        var (secret, _) = await fixture.Gateway.MakeKeyAsync("\"extensions\":\"none\"");
        using var client = fixture.Gateway.MakeClient(secret);
        using var response = await SendAsync(client, Chat, Completion + "}", "");
        Assert.Equal("57", Value(response, "x-ratelimit-remaining-requests"));
        Assert.Contains("\"key-requests\";r=57", Value(response, "RateLimit")!, StringComparison.Ordinal);
        Assert.Equal("limit_near", Value(response, "Fairlead-Warning"));
        Assert.DoesNotContain("limits", await response.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Refusal_ByALimit_NamesItAndTheWait()
    {
        using var response = await SendAsync(fixture.Gateway.Client, Chat, "{\"model\":\"full\"," + Hello + "}", "");
        Assert.Equal("2", Value(response, "Retry-After"));
        Assert.Equal("1500", Value(response, "retry-after-ms"));
        // First the limit that refuses, with the time of the retry; the others are full long after that.
        Assert.Equal("\"key-requests\";r=57;t=2, \"project-output-tokens\";r=1000", Value(response, "RateLimit"));
        var error = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Cancel)).RootElement.GetProperty("error");
        Assert.Equal("rate_limit_exceeded", error.GetProperty("code").GetString());
        Assert.Equal("requests", error.GetProperty("type").GetString());
        Assert.Equal("key-requests", error.GetProperty("details").GetProperty("policy").GetString());
        Assert.Equal(0, error.GetProperty("details").GetProperty("remaining").GetInt64());
    }

    [Fact]
    public async Task Repetition_WithTheSameKey_HasTheHeadersToo()
    {
        const string Key = "Idempotency-Key: limits-1";
        using var first = await SendAsync(fixture.Gateway.Client, Chat, Completion + "}", Key);
        using var second = await SendAsync(fixture.Gateway.Client, Chat, Completion + "}", Key);
        Assert.Equal("true", Value(second, "Idempotent-Replayed"));
        Assert.Equal("57", Value(second, "x-ratelimit-remaining-requests"));
        Assert.Contains("\"key-requests\";r=57", Value(second, "RateLimit")!, StringComparison.Ordinal);
        Assert.Equal(await first.Content.ReadAsStringAsync(Cancel), await second.Content.ReadAsStringAsync(Cancel));
    }

    [Fact]
    public async Task WebSocket_LastEventAndRefusal_NameTheLimits()
    {
        using var socket = new ClientWebSocket();
        socket.Options.SetRequestHeader("Authorization", $"Bearer {fixture.Gateway.Key}");
        await socket.ConnectAsync(new Uri(fixture.Gateway.Url.Replace("http://", "ws://", StringComparison.Ordinal) + "/v1/responses"), Cancel);
        var last = await TurnAsync(socket, "sim-fast");
        Assert.Equal(57, last.GetProperty("response").GetProperty("fairlead").GetProperty("limits")[0].GetProperty("remaining").GetInt64());
        var refused = await TurnAsync(socket, "full");
        Assert.Equal(429, refused.GetProperty("status").GetInt32());
        Assert.Equal(1500, refused.GetProperty("error").GetProperty("retry_after_ms").GetInt64());
        Assert.Equal("requests_per_minute", refused.GetProperty("error").GetProperty("details").GetProperty("name").GetString());
    }

    private static async Task<JsonElement> TurnAsync(ClientWebSocket socket, string model)
    {
        var request = $$"""{"type":"response.create","model":"{{model}}","input":"hi"}""";
        await socket.SendAsync(Encoding.UTF8.GetBytes(request), WebSocketMessageType.Text, endOfMessage: true, Cancel);
        var bytes = new byte[64 * 1024];
        while (true)
        {
            var length = 0;
            WebSocketReceiveResult got;
            do
            {
                got = await socket.ReceiveAsync(new ArraySegment<byte>(bytes, length, bytes.Length - length), Cancel);
                length += got.Count;
            }
            while (!got.EndOfMessage);
            var message = JsonDocument.Parse(bytes.AsMemory(0, length)).RootElement.Clone();
            if (message.GetProperty("type").GetString() is "response.completed" or "response.failed" or "error") return message;
        }
    }

    /// <summary>Every list of limits in a body or in the events of a stream that is not null.</summary>
    private static List<JsonElement> Lists(string text)
    {
        var found = new List<JsonElement>();
        var documents = text.StartsWith('{') ? [text] : text.Split('\n').Where(line => line.StartsWith("data: {", StringComparison.Ordinal)).Select(line => line[6..]);
        foreach (var document in documents) Walk(JsonDocument.Parse(document).RootElement);
        return found;

        void Walk(JsonElement element)
        {
            if (element.ValueKind == JsonValueKind.Array) foreach (var item in element.EnumerateArray()) Walk(item);
            if (element.ValueKind != JsonValueKind.Object) return;
            foreach (var member in element.EnumerateObject())
            {
                if (member.Name == "limits" && member.Value.ValueKind == JsonValueKind.Array) found.Add(member.Value);
                else Walk(member.Value);
            }
        }
    }

    private static Task<HttpResponseMessage> SendAsync(HttpClient client, string path, string body, string header)
    {
        var at = header.IndexOf(": ", StringComparison.Ordinal);
        return client.PostJsonAsync(path, body, at < 0 ? null : [(header[..at], header[(at + 2)..])]);
    }

    private static string? Value(HttpResponseMessage response, string name) =>
        response.Headers.TryGetValues(name, out var values) ? string.Join(", ", values) : null;
}
