using System.Data.Common;
using System.Net;
using System.Text;
using System.Text.Json;
using Fairlead.Auditing.Ledger;
using Fairlead.FunctionalTests.Batches;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;
using Fairlead.Tests.Common;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.FunctionalTests.Erasure;

/// <summary>A gateway whose provider repeats the last text of a request, and calls that leave a text in every store.</summary>
internal sealed class ErasureWorld : IAsyncDisposable
{
    private ErasureWorld(FakeUpstream upstream, WebhookReceiver receiver, TestGateway gateway) =>
        (Upstream, Receiver, Gateway) = (upstream, receiver, gateway);

    public FakeUpstream Upstream { get; }

    public WebhookReceiver Receiver { get; }

    public TestGateway Gateway { get; }

    public StorageProvider Provider => Gateway.Services.GetRequiredService<IStorage>().Provider;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public static async Task<ErasureWorld> StartAsync(StorageProvider provider, string more = "")
    {
        var upstream = await StartUpstreamAsync();
        var receiver = await WebhookReceiver.StartAsync();
        return new ErasureWorld(upstream, receiver, await TestGateway.StartAsync(provider, Yaml(upstream, more)));
    }

    public static string Yaml(FakeUpstream upstream, string more = "") => upstream.Yaml(
        $"  cache: {{ enabled: true }}\n  webhooks: {{ allowHttp: true, allowedNetworks: [127.0.0.0/8] }}\n{more}");

    public static async Task<FakeUpstream> StartUpstreamAsync() => await FakeUpstream.StartAsync(async context =>
    {
        // It knows chat completions only.
        if (!context.Request.Path.Value!.EndsWith("/chat/completions", StringComparison.Ordinal))
        {
            await FakeUpstream.Json(context, """{"error":{"message":"Not found"}}""", 404);
            return;
        }
        var request = (JsonElement)context.Items[FakeUpstream.RequestItem]!;
        var text = TextOf(request.GetProperty("messages").EnumerateArray().Last().GetProperty("content"));
        if (request.TryGetProperty("stream", out var stream) && stream.GetBoolean())
        {
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk($"{{\"content\":{JsonSerializer.Serialize(text)}}}"), FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
            return;
        }
        await FakeUpstream.Json(context, FakeUpstream.Completion(text));
    });

    /// <summary>Leaves the text in every store; returns the generations.</summary>
    /// <param name="client">The key.</param>
    /// <param name="user">The end user.</param>
    /// <param name="text">A text that is found again: letters and digits.</param>
    /// <param name="batch">Whether a batch of its own is among it.</param>
    /// <param name="labels">Whether its metadata has the text: that belongs to the key, not to one end user.</param>
    public async Task<List<string>> LeaveAsync(HttpClient client, string user, string text, bool batch = true, bool labels = true)
    {
        var generations = new List<string>();
        // 1. A chat call: cache, Idempotency-Key with its response, audit record.
        var chat = $$$$"""{"model":"m","temperature":0,"user":"{{{{user}}}}","messages":[{"role":"user","content":"{{{{text}}}} chat"}],"metadata":{"note":"{{{{text}}}}"},"fairlead":{"cache":{"mode":"on"}}}""";
        using (var response = await client.PostJsonAsync("/v1/chat/completions", chat, [("Idempotency-Key", text + "-key")]))
        {
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            generations.Add(response.Headers.GetValues("Fairlead-Generation").Single());
            await response.Content.ReadAsStringAsync(Cancel);
        }
        // 2. A stored response, and one that continues it.
        var first = await client.PostForJsonAsync("/v1/responses", $$"""{"model":"m","user":"{{user}}","input":"{{text}} first","store":true}""");
        var id = first.GetProperty("id").GetString()!;
        var second = await client.PostForJsonAsync("/v1/responses", $$"""{"model":"m","user":"{{user}}","input":"{{text}} second","previous_response_id":"{{id}}","store":true}""");
        generations.AddRange(new[] { id, second.GetProperty("id").GetString()! }.Select(response => "gen_" + response["resp_".Length..]));
        // 3. A job with an event log, whose webhook has the text in its address.
        generations.Add(await JobAsync(client, user, text + " job", $$$""","fairlead":{"webhook":{"url":"{{{Receiver.Url}}}/{{{text}}}"}}"""));
        Assert.Equal("completed", (await client.GetJsonAsync($"/v2/generations/{generations[^1]}?wait=60")).GetProperty("status").GetString());
        // 4. A batch.
        if (batch)
        {
            var file = await BatchCalls.UploadedAsync(client, BatchCalls.Line(text + "-a", text + " line", more: $$""","user":"{{user}}" """));
            var made = await BatchCalls.CreatedAsync(client, file, more: labels ? $$$""","metadata":{"note":"{{{text}}}"}""" : "");
            Assert.Equal("completed", (await BatchCalls.EndedAsync(client, made)).GetProperty("status").GetString());
        }
        return generations;
    }

    /// <summary>Starts a job; returns its generation.</summary>
    public static async Task<string> JobAsync(HttpClient client, string user, string text, string more = "")
    {
        var body = $$"""{"model":"m","user":"{{user}}","messages":[{"role":"user","content":"{{text}}"}]{{more}}}""";
        using var response = await client.PostJsonAsync("/v1/chat/completions", body, [("Prefer", "respond-async")]);
        Assert.Equal(HttpStatusCode.Accepted, response.StatusCode);
        return response.Headers.GetValues("Fairlead-Generation").Single();
    }

    /// <summary>Requests an erasure and waits for its end.</summary>
    public async Task<JsonElement> EraseAsync(string selector, HttpClient? admin = null)
    {
        var made = await (admin ?? Gateway.Admin).PostForJsonAsync("/admin/v1/erasures", selector, HttpStatusCode.Accepted);
        return await CompletedAsync(made.GetProperty("id").GetString()!);
    }

    public async Task<JsonElement> CompletedAsync(string id)
    {
        while (true)
        {
            var erasure = await Gateway.Admin.GetJsonAsync("/admin/v1/erasures/" + id);
            var status = erasure.GetProperty("status").GetString();
            Assert.NotEqual("failed", status);
            if (status == "completed") return erasure;
            await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, Cancel);
        }
    }

    /// <summary>Where a text is still found: files of the data folder, and rows of the database.</summary>
    public async Task<List<string>> FindAsync(string text)
    {
        await Gateway.Services.GetRequiredService<LedgerShipper>().CatchUpAsync(TimeSpan.FromSeconds(10), Cancel);
        var places = new List<string>();
        foreach (var file in Directory.EnumerateFiles(Gateway.DataDirectory, "*", SearchOption.AllDirectories))
        {
            if (await HasAsync(file, Encoding.UTF8.GetBytes(text))) places.Add(Path.GetRelativePath(Gateway.DataDirectory, file));
        }
        await using var connection = await Gateway.Services.GetRequiredService<IStorage>().OpenAsync(Cancel);
        await using var copy = await StoredRecords.CopyAsync(connection, Cancel);
        if (await copy.Int64Async("SELECT COUNT(*) FROM audit_records WHERE record LIKE @text AND type = 'generation'", [("@text", $"%{text}%")], Cancel) > 0) places.Add("audit");
        if (Provider == StorageProvider.Postgres) places.AddRange(await TablesWithAsync(connection, text));
        return places;
    }

    public async ValueTask DisposeAsync()
    {
        await Gateway.DisposeAsync();
        await Receiver.DisposeAsync();
        await Upstream.DisposeAsync();
    }

    private static async Task<List<string>> TablesWithAsync(DbConnection connection, string text)
    {
        var found = new List<string>();
        var hex = Convert.ToHexStringLower(Encoding.UTF8.GetBytes(text));
        foreach (var table in await connection.QueryAsync("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()", [], row => row.Text("tablename"), Cancel))
        {
            if (await connection.Int64Async($"SELECT 1 FROM {table} AS t WHERE t::text LIKE @text OR t::text LIKE @hex LIMIT 1", [("@text", $"%{text}%"), ("@hex", $"%{hex}%")], Cancel) is not null)
                found.Add("table " + table);
        }
        return found;
    }

    private static async Task<bool> HasAsync(string file, byte[] text)
    {
        try
        {
            await using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            var bytes = new byte[stream.Length];
            var count = await stream.ReadAtLeastAsync(bytes, bytes.Length, throwOnEndOfStream: false, Cancel);
            return bytes.AsSpan(0, count).IndexOf(text) >= 0;
        }
        catch (Exception e) when (e is FileNotFoundException or IOException)
        {
            return false;
        }
    }

    private static string TextOf(JsonElement content) =>
        content.ValueKind == JsonValueKind.String ? content.GetString()! : content.EnumerateArray().Last().GetProperty("text").GetString()!;
}
