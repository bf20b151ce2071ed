using System.Globalization;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Limits;
using Fairlead.Tests.Common;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.FunctionalTests.Caching;

/// <summary>A gateway with a cache, and a provider that counts its requests and answers each with another text.</summary>
internal sealed class CacheWorld : IAsyncDisposable
{
    public const string Cache = "  cache: { enabled: true }";

    private CacheWorld(FakeUpstream upstream, TestGateway gateway) => (Upstream, Gateway) = (upstream, gateway);

    public FakeUpstream Upstream { get; }

    public TestGateway Gateway { get; }

    /// <summary>Requests that reached the provider.</summary>
    public int Calls => Upstream.Requests.Count;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static async Task<CacheWorld> StartAsync(string more = Cache)
    {
        var upstream = await StartUpstreamAsync();
        return new CacheWorld(upstream, await TestGateway.StartAsync(upstream.Yaml(more)));
    }

    /// <summary>A provider whose responses have the number of the request in their text.</summary>
    public static async Task<FakeUpstream> StartUpstreamAsync()
    {
        var upstream = await FakeUpstream.StartAsync();
        upstream.Answer = context => AnswerAsync(context, "one two three number " + upstream.Requests.Count.ToString(CultureInfo.InvariantCulture));
        return upstream;
    }

    public static async Task AnswerAsync(HttpContext context, string text, string finish = "stop")
    {
        // It knows chat completions only.
        if (!context.Request.Path.Value!.EndsWith("/chat/completions", StringComparison.Ordinal))
        {
            await FakeUpstream.Json(context, """{"error":{"message":"Not found"}}""", 404);
            return;
        }
        var request = (JsonElement)context.Items[FakeUpstream.RequestItem]!;
        if (!request.TryGetProperty("stream", out var stream) || !stream.GetBoolean())
        {
            await FakeUpstream.Json(context, FakeUpstream.Completion(text, finish));
            return;
        }
        await FakeUpstream.BeginAsync(context);
        foreach (var word in text.Split(' ').Select((word, i) => i == 0 ? word : " " + word))
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk($"{{\"content\":{JsonSerializer.Serialize(word)}}}"));
        await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("{}", finish), FakeUpstream.UsageChunk(), "[DONE]");
    }

    /// <summary>The usual request, whose output does not depend on chance, and which asks for the cache.</summary>
    public static string Chat(string text = "hi", string more = "\"temperature\":0,\"fairlead\":{\"cache\":{\"mode\":\"on\"}}", bool stream = false) =>
        $$"""{"model":"m","messages":[{"role":"user","content":{{JsonSerializer.Serialize(text)}}}],{{more}}{{(stream ? ",\"stream\":true" : "")}}}""";

    public Task<Seen> SendAsync(string body, params (string Name, string Value)[] headers) =>
        SendAsync(Gateway.Client, "/v1/chat/completions", body, headers);

    public static async Task<Seen> SendAsync(HttpClient client, string path, string body, params (string Name, string Value)[] headers)
    {
        using var response = await client.PostJsonAsync(path, body, headers);
        var text = await response.Content.ReadAsStringAsync(Token);
        return new Seen((int)response.StatusCode, Header("Fairlead-Cache"), Header("Age"), text);

        string? Header(string name) => response.Headers.TryGetValues(name, out var values) ? values.Single() : null;
    }

    public async Task<IReadOnlyList<JsonElement>> AuditAsync(int expected)
    {
        while (true)
        {
            var records = (await Gateway.Admin.GetJsonAsync("/admin/v1/audit?limit=200")).GetProperty("data").EnumerateArray().ToList();
            if (records.Count >= expected) return records;
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, Token);
        }
    }

    public void AssertAtRest()
    {
        var totals = Gateway.Services.GetRequiredService<InMemoryTokenLedger>().Totals();
        Assert.Equal((0, 0L, 0m), (totals.Open, totals.HeldTokens, totals.HeldUsd));
    }

    public async ValueTask DisposeAsync()
    {
        await Gateway.DisposeAsync();
        await Upstream.DisposeAsync();
    }
}

/// <summary>A response as a test sees it.</summary>
internal sealed record Seen(int Status, string? Cache, string? Age, string Body)
{
    public JsonElement Json => JsonDocument.Parse(Body).RootElement;

    /// <summary>The last <c>fairlead</c> object, of a whole response or a stream.</summary>
    public JsonElement Fairlead => Objects().Select(Find).Last(one => one is not null)!.Value;

    /// <summary>Whether its metadata has the member, and it is true.</summary>
    public bool Is(string name) => Fairlead.TryGetProperty(name, out var value) && value.GetBoolean();

    /// <summary>All text of the model, in each dialect, whole or streamed.</summary>
    public string Text
    {
        get
        {
            if (Body.StartsWith('{')) return WholeText(Json);
            var text = new StringBuilder();
            foreach (var json in Objects()) text.Append(DeltaText(json));
            return text.ToString();
        }
    }

    private IEnumerable<JsonElement> Objects()
    {
        if (Body.StartsWith('{')) return [Json];
        return Body.Split('\n').Where(line => line.StartsWith("data: {", StringComparison.Ordinal)).Select(line => JsonDocument.Parse(line[6..]).RootElement);
    }

    private static JsonElement? Find(JsonElement json)
    {
        if (json.TryGetProperty("attempts", out _) && json.TryGetProperty("cost", out _)) return json;
        foreach (var member in json.EnumerateObject())
        {
            if (member.Value.ValueKind == JsonValueKind.Object && member.Name is "fairlead" or "response" or "generation" or "metadata"
                && member.Value.ValueKind == JsonValueKind.Object && Find(member.Value) is { } found)
            {
                return found;
            }
        }
        return null;
    }

    private static string WholeText(JsonElement json)
    {
        if (json.TryGetProperty("choices", out var choices)) return choices[0].GetProperty("message").GetProperty("content").GetString() ?? "";
        var parts = json.TryGetProperty("output", out var output)
            ? output.EnumerateArray().SelectMany(item => item.TryGetProperty("content", out var content) ? content.EnumerateArray().ToArray() : [item])
            : json.GetProperty("content").EnumerateArray().ToArray();
        return string.Concat(parts.Select(part => part.TryGetProperty("text", out var text) ? text.GetString() : ""));
    }

    private static string DeltaText(JsonElement json)
    {
        if (json.TryGetProperty("choices", out var choices))
            return choices.GetArrayLength() > 0 && choices[0].GetProperty("delta").TryGetProperty("content", out var content) ? content.GetString() ?? "" : "";
        var type = json.TryGetProperty("type", out var named) ? named.GetString() : null;
        if (type is "content_block_delta") return json.GetProperty("delta").TryGetProperty("text", out var text) ? text.GetString() ?? "" : "";
        if (type is "response.output_text.delta") return json.GetProperty("delta").GetString() ?? "";
        return type is "output.text.delta" ? json.GetProperty("text").GetString() ?? "" : "";
    }
}
