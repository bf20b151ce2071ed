using System.Text;

namespace Fairlead.FunctionalTests.Storage;

/// <summary>The calls whose behavior the documentation defines for an unavailable database.</summary>
internal static class AwayCalls
{
    public const string Chat = """{"model":"sim-fast","max_tokens":8,"messages":[{"role":"user","content":"hi"}]}""";

    /// <summary>A well-formed key that belongs to no project.</summary>
    public static readonly string UnknownKey = Access.ApiKeyText.New().Text;

    /// <summary>Calls and streams with known keys that need no storage.</summary>
    public static readonly IReadOnlyList<(string Path, string Body)> ThatGoOn =
    [
        ("/v1/chat/completions", Chat),
        ("/v1/chat/completions", """{"model":"sim-fast","max_tokens":8,"stream":true,"messages":[{"role":"user","content":"hi"}]}"""),
        ("/v1/completions", """{"model":"sim-fast","max_tokens":8,"prompt":"hi"}"""),
        ("/v1/embeddings", """{"model":"sim-embed","input":"hi"}"""),
        ("/v1/messages", Chat),
        ("/v1/messages", """{"model":"sim-fast","max_tokens":8,"stream":true,"messages":[{"role":"user","content":"hi"}]}"""),
        ("/v1/responses", """{"model":"sim-fast","store":false,"input":"hi"}"""),
        ("/v1/responses", """{"model":"sim-fast","store":false,"stream":true,"input":"hi"}"""),
        ("/v2/generations", """{"model":"sim-fast","input":"hi","delivery":{"mode":"sync"}}"""),
        ("/v2/generations", """{"model":"sim-fast","input":"hi"}"""),
    ];

    /// <summary>Whatever makes or changes something that outlives its request.</summary>
    public static IReadOnlyList<AwayCall> Refused(string file, string webhook, string job, string key, string project) =>
    [
        Post("/v1/chat/completions", Chat, ("Prefer", "respond-async")),
        Post("/v1/messages", Chat, ("Prefer", "respond-async")),
        Post("/v1/embeddings", """{"model":"sim-embed","input":"hi"}""", ("Prefer", "respond-async")),
        Post("/v1/responses", """{"model":"sim-fast","input":"hi","background":true}"""),
        Post("/v2/generations", """{"model":"sim-fast","input":"hi","delivery":{"mode":"job"}}"""),
        Post("/v2/generations", """{"model":"sim-fast","input":"hi","delivery":{"mode":"stream","on_disconnect":"continue"}}"""),
        Post("/v1/chat/completions", Chat, ("Idempotency-Key", "once")),
        Post($"/v2/generations/{job}/cancel", "{}"),
        Post("/v1/batches", $$"""{"input_file_id":"{{file}}","endpoint":"/v1/chat/completions","completion_window":"24h"}"""),
        new(HttpMethod.Delete, $"/v1/files/{file}", null, []),
        Post("/v2/webhooks", """{"url":"https://hooks.invalid/"}"""),
        Post($"/v2/webhooks/{webhook}/rotate", "{}"),
        Post($"/v2/webhooks/{webhook}/test", "{}"),
        new(HttpMethod.Patch, $"/v2/webhooks/{webhook}", """{"status":"disabled"}""", []),
        new(HttpMethod.Delete, $"/v2/webhooks/{webhook}", null, []),
        Post("/admin/v1/organizations", """{"name":"x"}"""),
        Post("/admin/v1/keys", $$"""{"name":"x","project_id":"{{project}}"}"""),
        Post($"/admin/v1/keys/{key}/rotate", "{}"),
        Post($"/admin/v1/keys/{key}/revoke", "{}"),
        new(HttpMethod.Patch, $"/admin/v1/projects/{project}", """{"name":"x"}""", []),
        new(HttpMethod.Delete, $"/admin/v1/keys/{key}", null, []),
    ];

    public static async Task<HttpResponseMessage> SendAsync(HttpClient client, HttpMethod method, string path, string? body, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(method, path);
        if (body is not null) request.Content = new StringContent(body, Encoding.UTF8, "application/json");
        foreach (var (name, value) in headers) request.Headers.Add(name, value);
        return await client.SendAsync(request, TestContext.Current.CancellationToken);
    }

    /// <summary>Checks that the refusal has the code, the dialect's format and the retry delay, and exposes no internals.</summary>
    public static async Task AssertRefusedAsync(HttpClient client, AwayCall call)
    {
        using var response = await SendAsync(client, call.Method, call.Path, call.Body, call.Headers);
        var text = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        // Anthropic's clients know it by 529.
        Assert.True((int)response.StatusCode == (call.Path == "/v1/messages" ? 529 : 503), $"{call.Method} {call.Path}: {(int)response.StatusCode} {text}");
        Assert.Contains("store_unavailable", text, StringComparison.Ordinal);
        Assert.NotNull(response.Headers.RetryAfter);
        foreach (var internals in (string[])["Npgsql", "postgres", "sqlite", "127.0.0.1"]) Assert.DoesNotContain(internals, text.Replace("http://127.0.0.1", "", StringComparison.Ordinal), StringComparison.OrdinalIgnoreCase);
    }

    private static AwayCall Post(string path, string body, params (string Name, string Value)[] headers) => new(HttpMethod.Post, path, body, headers);
}

internal sealed record AwayCall(HttpMethod Method, string Path, string? Body, (string Name, string Value)[] Headers);
