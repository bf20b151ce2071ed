using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;
using Fairlead.Tests.Common;

namespace Fairlead.FunctionalTests.Processes;

public sealed class SqliteSuspectTests() : SuspectTests(StorageProvider.Sqlite);

public sealed class PostgresSuspectTests() : SuspectTests(StorageProvider.Postgres);

/// <summary>A job that kills its process: it is found out and not run again, and the jobs beside it lose nothing.</summary>
public abstract class SuspectTests : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-suspects").FullName;
    private readonly string? _postgres;
    private FakeUpstream _upstream = null!;

    private protected SuspectTests(StorageProvider provider) => _postgres = provider == StorageProvider.Postgres ? TestPostgres.CreateDatabase() : null;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        // A single run each: one that is lost to the death of the process would be one too many.
        await File.WriteAllTextAsync(Path.Combine(_folder, "fairlead.yaml"), _upstream.Yaml() + """

              jobs: { lease: 5s, maxRuns: 1, workers: 6 }
            """, Cancel);
    }

    public async ValueTask DisposeAsync()
    {
        await _upstream.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
        if (_postgres is not null) TestPostgres.DropDatabase(_postgres);
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Job_KillsItsProcess_IsRetriedAloneOnceAndOthersComplete()
    {
        ServerProcess? server = null;
        var together = 0;
        var beside = new ConcurrentQueue<string>();
        var under = new ConcurrentDictionary<string, bool>(StringComparer.Ordinal);
        var deaths = 0;
        var died = false;
        var gathered = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            var request = (JsonElement)context.Items[FakeUpstream.RequestItem]!;
            var text = request.GetProperty("messages")[0].GetProperty("content").GetString()!;
            Interlocked.Increment(ref together);
            // On a busy machine an attempt or a run may be followed by another of the same job before its call is seen to end, so jobs are counted and not calls.
            if (Volatile.Read(ref died) && under.Keys.FirstOrDefault(other => other != text) is { } running) beside.Enqueue($"{text} beside {running} after death {deaths}");
            under[text] = true;
            if (under.Count == 5) gathered.TrySetResult();
            try
            {
                await FakeUpstream.BeginAsync(context);
                await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":"so far "}"""));
                await gathered.Task.WaitAsync(context.RequestAborted);
                if (text == "deadly")
                {
                    Interlocked.Increment(ref deaths);
                    server!.Process.Kill();
                    await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
                }
                // Until the process has died once, all the others are under way.
                if (Volatile.Read(ref deaths) == 0) await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
            }
            finally
            {
                under.TryRemove(text, out _);
                Interlocked.Decrement(ref together);
            }
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk($$"""{"content":"{{text}}"}"""), FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
        };

        server = await ServeAsync();
        try
        {
            using var client = new HttpClient { Timeout = TimeSpan.FromSeconds(100) };
            client.DefaultRequestHeaders.Authorization = new("Bearer", await server.ClientKeyAsync());
            var ids = new Dictionary<string, string>(StringComparer.Ordinal);
            foreach (var text in (string[])["one", "two", "deadly", "three"])
            {
                ids[text] = await AcceptedAsync(client, server.Address + "/v2/generations", $$$"""{"model":"m","input":"{{{text}}}","delivery":{"mode":"job"}}""");
            }
            ids["chat"] = await AcceptedAsync(client, server.Address + "/v1/chat/completions", """{"model":"m","messages":[{"role":"user","content":"chat"}]}""", "respond-async");

            for (var starts = 0; deaths < 2 && starts < 5; starts++)
            {
                await server.Process.WaitForExitAsync(Cancel);
                await server.DisposeAsync();
                while (Volatile.Read(ref together) > 0) await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Cancel);
                Volatile.Write(ref died, true);
                server = await ServeAsync();
            }
            foreach (var (text, id) in ids)
            {
                JsonElement state;
                do state = JsonDocument.Parse(await client.GetStringAsync(new Uri($"{server.Address}/v2/generations/{id}?wait=30"), Cancel)).RootElement;
                while (state.GetProperty("status").GetString() is "queued" or "in_progress");
                if (text == "deadly")
                {
                    Assert.Equal(("failed", "internal_error"), (state.GetProperty("status").GetString(), state.GetProperty("error").GetProperty("code").GetString()));
                    continue;
                }
                Assert.Equal(("completed", "so far " + text), (state.GetProperty("status").GetString(), state.GetProperty("output_text").GetString()));
            }
            Assert.Equal(2, deaths);
            Assert.Empty(beside);
            Assert.False(server.Process.HasExited);
        }
        finally
        {
            await server.DisposeAsync();
        }
    }

    private static async Task<string> AcceptedAsync(HttpClient client, string address, string body, string? prefer = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, address) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        if (prefer is not null) request.Headers.Add("Prefer", prefer);
        using var answer = await client.SendAsync(request, Cancel);
        var text = await answer.Content.ReadAsStringAsync(Cancel);
        Assert.True(answer.IsSuccessStatusCode, text);
        return JsonDocument.Parse(text).RootElement.GetProperty("id").GetString()!;
    }

    private Task<ServerProcess> ServeAsync() => ServerProcess.ServeAsync(_folder, _postgres is null ? [] : [("Fairlead__Storage__ConnectionString", _postgres)]);
}
