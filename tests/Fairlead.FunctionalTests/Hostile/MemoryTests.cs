using System.Net;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.FunctionalTests.Common;
using Fairlead.FunctionalTests.Processes;
using Fairlead.Memory;
using Fairlead.Routing;
using Microsoft.Extensions.DependencyInjection;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Hostile;

/// <summary>The memory budget over real connections: who is refused, who is not, and that all of it comes back on every way out.</summary>
public sealed class MemoryTests : IAsyncLifetime
{
    private const int Budget = 8 * 1024 * 1024;

    private const string Small = """{"model":"m","messages":[{"role":"user","content":"hi"}]}""";

    private FakeUpstream _upstream = null!;
    private TestGateway _gateway = null!;
    private MemoryBudget _budget = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _gateway = await TestGateway.StartAsync(_upstream.Yaml("  requests: { memoryBudget: 8MiB, maxMemoryPerKey: 8MiB, maxSocketMessageTime: 60s, maxSocketsPerKey: 3 }").Replace("contextWindow: 8000", "contextWindow: 100000", StringComparison.Ordinal));
        _budget = _gateway.Services.GetRequiredService<MemoryBudget>();
        Assert.Equal(Budget, _budget.Limit);
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        Assert.Equal(0, _budget.Used);
        await _upstream.DisposeAsync();
    }

    [Fact]
    public async Task Call_Finished_ReleasesMemory()
    {
        foreach (var stream in new[] { false, true })
        {
            if (stream) _upstream.Answer = StreamedAsync;
            using var response = await PostAsync(Large(1_000_000, stream ? "\"stream\":true," : ""));
            Assert.Contains("hello", await response.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
        }
        await FreeAsync();
    }

    [Theory]
    [InlineData("""{"model":"nobody-has-this","messages":[{"role":"user","content":"hi"}]}""")]
    [InlineData("""{"model":"m","messages":[{"role":"user","content":5}]}""")]
    [InlineData("""{"model":""")]
    public async Task Call_Refused_ReleasesMemory(string body)
    {
        using var response = await PostAsync(body + new string(' ', 500_000));
        Assert.False(response.IsSuccessStatusCode);
        await FreeAsync();
    }

    [Fact]
    public async Task Body_AboveMemoryBudget_Returns503WhileSmallOnesSucceed()
    {
        _budget.Take(Budget * 9 / 10);
        try
        {
            foreach (var chunked in new[] { false, true })
            {
                using var refused = await PostAsync(Large(1_000_000), chunked);
                Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
                Assert.NotNull(refused.Headers.RetryAfter);
                Assert.Contains("\"overloaded\"", await refused.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
                using var served = await PostAsync(Small, chunked);
                Assert.Equal(HttpStatusCode.OK, served.StatusCode);
            }
        }
        finally
        {
            _budget.Return(Budget * 9 / 10);
        }
        await FreeAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Client_DisconnectsMidBody_ReleasesMemory(bool chunked)
    {
        using (var client = new TcpClient())
        {
            var url = new Uri(_gateway.Url);
            await client.ConnectAsync(url.Host, url.Port, Cancel);
            var stream = client.GetStream();
            await stream.WriteAsync(Encoding.ASCII.GetBytes($"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {_gateway.Key}\r\nContent-Type: application/json\r\n{(chunked ? "Transfer-Encoding: chunked" : "Content-Length: 30000000")}\r\n\r\n"), Cancel);
            if (chunked) await stream.WriteAsync("300000\r\n"u8.ToArray(), Cancel);
            await stream.WriteAsync(new byte[2_000_000], Cancel);
            // Counted as they came, and not as they were announced.
            while (_budget.Used < 2_000_000) await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Cancel);
            Assert.True(_budget.Used < 5_000_000, $"{_budget.Used}");
        }
        await FreeAsync();
    }

    [Fact]
    public async Task Call_DeadlineExceededOrClientDisconnected_ReleasesMemory()
    {
        _upstream.Answer = async context => await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
        using (var late = await PostAsync(Large(300_000, "\"fairlead\":{\"deadline_ms\":300},"))) Assert.Equal(HttpStatusCode.GatewayTimeout, late.StatusCode);
        using var leaving = new CancellationTokenSource();
        var open = _gateway.Client.PostAsync(Address, Json(Large(300_000)), leaving.Token);
        while (_budget.Used < 300_000) await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Cancel);
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => open);
        await FreeAsync();
    }

    [Fact]
    public async Task Response_BufferedAndAboveMemoryBudget_Returns503Overloaded()
    {
        _upstream.Answer = context => FakeUpstream.Json(context, Completion(new string('x', 9_000_000)));
        using var response = await PostAsync(Small);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
        Assert.Contains("\"overloaded\"", await response.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
        await FreeAsync();
    }

    [Fact]
    public async Task Stream_EventAboveMemoryBudget_OnlyThatStreamEndsOverloaded()
    {
        var goOn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var calls = 0;
        _upstream.Answer = async context =>
        {
            var isFirst = Interlocked.Increment(ref calls) == 1;
            await BeginAsync(context);
            await FakeUpstream.SendAsync(context, Chunk("""{"role":"assistant","content":"so"}"""));
            if (isFirst) await FakeUpstream.SendAsync(context, Chunk($$"""{"content":"{{new string('x', 7_000_000)}}"}"""));
            await goOn.Task.WaitAsync(context.RequestAborted);
            await FakeUpstream.SendAsync(context, Chunk("""{"content":" far"}"""), Chunk("{}", "stop"), UsageChunk(), "[DONE]");
        };
        const string streamed = """{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}""";
        var (first, second) = (ReadAsync(streamed), (Task<SeenStream>?)null);
        while (Volatile.Read(ref calls) == 0) await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Cancel);
        second = ReadAsync(streamed);
        Assert.Contains("\"overloaded\"", (await first).Raw, StringComparison.Ordinal);
        goOn.SetResult();
        Assert.Contains(" far", (await second).Raw, StringComparison.Ordinal);
        Assert.DoesNotContain("overloaded", (await second).Raw, StringComparison.Ordinal);
        await FreeAsync();
    }

    [Fact]
    public async Task Upstream_EndlessRoleChunks_FailsAttemptAndReleasesMemory()
    {
        var sent = 0L;
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            var many = Enumerable.Repeat(Chunk("""{"role":"assistant","content":""}"""), 500).ToArray();
            while (!context.RequestAborted.IsCancellationRequested && Interlocked.Add(ref sent, 500) < 1_000_000) await FakeUpstream.SendAsync(context, many);
        };
        var seen = await ReadAsync("""{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}""");
        Assert.Contains("\"provider_error\"", seen.Raw, StringComparison.Ordinal);
        Assert.True(sent < 1_000_000, $"{AttemptEvents.MaxHeldEvents} events are held at most.");
        await FreeAsync();
    }

    [Fact]
    public async Task Sockets_AboveKeyLimit_AreRefusedUntilOneCloses()
    {
        var open = new List<ClientWebSocket>();
        try
        {
            for (var i = 0; i < 3; i++) open.Add(await ConnectAsync());
            var refused = await Assert.ThrowsAsync<WebSocketException>(ConnectAsync);
            Assert.Contains("429", refused.Message, StringComparison.Ordinal);
            open[0].Abort();
            while (true)
            {
                try
                {
                    open.Add(await ConnectAsync());
                    break;
                }
                catch (WebSocketException)
                {
                    await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System, Cancel);
                }
            }
        }
        finally
        {
            foreach (var socket in open) socket.Dispose();
        }
    }

    [Fact]
    public async Task Socket_ClosedWithUnfinishedMessage_ReleasesMemory()
    {
        using (var socket = await ConnectAsync())
        {
            await socket.SendAsync(new byte[2_000_000].Select(_ => (byte)' ').ToArray(), WebSocketMessageType.Text, endOfMessage: false, Cancel);
            while (_budget.Used < 2_000_000) await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Cancel);
            socket.Abort();
        }
        await FreeAsync();
    }

    [Fact]
    public async Task Jobs_TotalAboveMemoryBudget_AllCompleteAndReleaseMemory()
    {
        _upstream.Answer = StreamedAsync;
        var ids = new List<string>();
        for (var i = 0; i < 6; i++)
        {
            while (true)
            {
                using var request = new HttpRequestMessage(HttpMethod.Post, Address) { Content = Json(Large(1_500_000)) };
                request.Headers.Add("Prefer", "respond-async");
                using var accepted = await _gateway.Client.SendAsync(request, Cancel);
                var text = await accepted.Content.ReadAsStringAsync(Cancel);
                if (accepted.StatusCode == HttpStatusCode.ServiceUnavailable)
                {
                    // There is no memory left while others run, so the gateway refuses the call.
                    await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, Cancel);
                    continue;
                }
                Assert.Equal(HttpStatusCode.Accepted, accepted.StatusCode);
                ids.Add(JsonDocument.Parse(text).RootElement.GetProperty("id").GetString()!);
                break;
            }
        }
        foreach (var id in ids)
        {
            JsonElement seen;
            do seen = JsonDocument.Parse(await _gateway.Client.GetStringAsync(new Uri($"/v2/generations/{id}?wait=30", UriKind.Relative), Cancel)).RootElement;
            while (seen.GetProperty("status").GetString() is "queued" or "in_progress");
            Assert.Equal("completed", seen.GetProperty("status").GetString());
        }
        await FreeAsync();
    }

    [Fact]
    public async Task StoredRequestsAndResults_AboveMemoryBudget_Return503Overloaded()
    {
        _upstream.Answer = context => context.Request.Path.Value!.EndsWith("/responses", StringComparison.Ordinal) ? FakeUpstream.Json(context, "{}", 404) : FakeUpstream.Json(context, Completion(new string('y', 300_000)));
        // A job with a large request and a large result, one with a small request, a stored response, a repeated request and a file.
        var large = await JobAsync(Large(300_000), null);
        var small = await JobAsync(Small, null);
        string response, background, file;
        using (var made = await PostAsync("/v1/responses", $$"""{"model":"m","input":"{{new string('z', 20_000)}}"}""")) response = await IdOfAsync(made);
        using (var made = await PostAsync("/v1/responses", """{"model":"m","input":"hi","background":true}""")) background = await IdOfAsync(made);
        using (var first = await PostAsync("/v1/chat/completions", Small, "a-key")) Assert.Equal(HttpStatusCode.OK, first.StatusCode);
        using (var form = new MultipartFormDataContent { { new StringContent("user_data"), "purpose" }, { new ByteArrayContent("%PDF-1.7 tides"u8.ToArray()), "file", "a.pdf" } })
        using (var made = await _gateway.Client.PostAsync(new Uri("/v1/files", UriKind.Relative), form, Cancel))
        {
            file = await IdOfAsync(made);
        }
        while (!(await _gateway.Client.GetStringAsync(new Uri($"/v1/responses/{background}", UriKind.Relative), Cancel)).Contains("\"completed\"", StringComparison.Ordinal))
        {
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, Cancel);
        }
        await FreeAsync();

        _budget.Take(Budget * 9 / 10);
        try
        {
            foreach (var path in (string[])[$"/v2/generations/{large}", $"/v2/generations/{large}/result", $"/v2/generations/{large}/events", $"/v1/responses/{response}", $"/v1/responses/{background}", $"/v1/files/{file}/content"])
            {
                using var refused = await _gateway.Client.GetAsync(new Uri(path, UriKind.Relative), Cancel);
                Assert.True(refused.StatusCode == HttpStatusCode.ServiceUnavailable, $"{path}: {refused.StatusCode}");
                Assert.Contains("\"overloaded\"", await refused.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
            }
            using (var repeated = await PostAsync("/v1/chat/completions", Small, "a-key")) Assert.Equal(HttpStatusCode.ServiceUnavailable, repeated.StatusCode);
            using (var next = await PostAsync("/v1/responses", $$"""{"model":"m","input":"go on","previous_response_id":"{{response}}"}""")) Assert.Equal(HttpStatusCode.ServiceUnavailable, next.StatusCode);
            // Its small request fits, so its stream starts. Its events then do not fit.
            using var events = await _gateway.Client.GetAsync(new Uri($"/v2/generations/{small}/events", UriKind.Relative), HttpCompletionOption.ResponseHeadersRead, Cancel);
            Assert.Equal(HttpStatusCode.OK, events.StatusCode);
            var seen = await SeenStream.ReadAsync(events, Cancel);
            Assert.Contains("\"overloaded\"", seen.Raw, StringComparison.Ordinal);
            Assert.DoesNotContain("generation.completed", seen.Raw, StringComparison.Ordinal);
            // Heads are small.
            using var list = await _gateway.Client.GetAsync(new Uri("/v2/generations", UriKind.Relative), Cancel);
            Assert.Equal(HttpStatusCode.OK, list.StatusCode);
        }
        finally
        {
            _budget.Return(Budget * 9 / 10);
        }
        foreach (var path in (string[])[$"/v2/generations/{large}/events", $"/v2/generations/{small}/events", $"/v1/responses/{response}/input_items"])
        {
            Assert.True((await _gateway.Client.GetStringAsync(new Uri(path, UriKind.Relative), Cancel)).Length > 10_000);
        }
        await FreeAsync();
    }

    [Fact]
    public async Task Key_ManySlowRequestBodies_LeavesMemoryForOtherKeys()
    {
        await using var gateway = await TestGateway.StartAsync(_upstream.Yaml("  requests: { memoryBudget: 8MiB }"));
        var budget = gateway.Services.GetRequiredService<MemoryBudget>();
        var organization = await gateway.Admin.PostForJsonAsync("/admin/v1/organizations", """{"name":"Other"}""");
        var project = await gateway.Admin.PostForJsonAsync("/admin/v1/projects", $$"""{"name":"Other","organization_id":"{{organization.GetProperty("id").GetString()}}"}""");
        var other = await gateway.Admin.PostForJsonAsync("/admin/v1/keys", $$"""{"name":"other","project_id":"{{project.GetProperty("id").GetString()}}"}""");
        using var second = gateway.MakeClient(other.GetProperty("secret").GetString());
        var url = new Uri(gateway.Url);
        var clients = new List<TcpClient>();
        try
        {
            // Slow clients of one key, until the first of them is refused.
            while (true)
            {
                var client = new TcpClient();
                clients.Add(client);
                await client.ConnectAsync(url.Host, url.Port, Cancel);
                var stream = client.GetStream();
                var before = budget.Used;
                await stream.WriteAsync(Encoding.ASCII.GetBytes($"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.Key}\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"), Cancel);
                await stream.WriteAsync(new byte[900_000], Cancel);
                var refusal = stream.ReadAtLeastAsync(new byte[12], 12, throwOnEndOfStream: false, Cancel).AsTask();
                while (budget.Used < before + 900_000 && !refusal.IsCompleted) await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Cancel);
                if (refusal.IsCompleted) break;
                Assert.True(clients.Count < 10);
            }
            Assert.InRange(budget.Used, 2_000_000, Budget / 2);
            using (var refused = await gateway.Client.PostAsync(Address, Json(Large(1_500_000)), Cancel)) Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
            using var served = await second.PostAsync(Address, Json(Large(1_500_000)), Cancel);
            Assert.Equal(HttpStatusCode.OK, served.StatusCode);
        }
        finally
        {
            foreach (var client in clients) client.Dispose();
        }
    }

    [Fact]
    public async Task Socket_LongEvent_IsSentCompleteInMultipleFrames()
    {
        _upstream.Answer = async context =>
        {
            if (context.Request.Path.Value!.EndsWith("/responses", StringComparison.Ordinal))
            {
                await FakeUpstream.Json(context, "{}", 404);
                return;
            }
            await BeginAsync(context);
            await FakeUpstream.SendAsync(context, Chunk($$"""{"role":"assistant","content":"{{new string('x', 500_000)}}"}"""), Chunk("{}", "stop"), UsageChunk(), "[DONE]");
        };
        using (var socket = await ConnectAsync())
        {
            await socket.SendAsync(Encoding.UTF8.GetBytes("""{"type":"response.create","model":"m","input":"hi","store":false}"""), WebSocketMessageType.Text, endOfMessage: true, Cancel);
            var (longest, largestFrame) = (0, 0);
            while (true)
            {
                using var message = new MemoryStream();
                ValueWebSocketReceiveResult got;
                var (frame, buffer) = (0, new byte[1024 * 1024]);
                do
                {
                    got = await socket.ReceiveAsync(buffer.AsMemory(), Cancel);
                    message.Write(buffer, 0, got.Count);
                    frame = Math.Max(frame, got.Count);
                }
                while (!got.EndOfMessage);
                (longest, largestFrame) = (Math.Max(longest, (int)message.Length), Math.Max(largestFrame, frame));
                var type = JsonDocument.Parse(message.ToArray()).RootElement.GetProperty("type").GetString();
                if (type is "response.completed" or "error")
                {
                    Assert.Equal("response.completed", type);
                    break;
                }
            }
            Assert.True(longest > 500_000);
            Assert.InRange(largestFrame, 1, 64 * 1024);
            socket.Abort();
        }
        await FreeAsync();
    }

    [Fact]
    public async Task Server_ManySlowReadersOfLargeResults_StaysWithinMemoryBudget()
    {
        var folder = Directory.CreateTempSubdirectory("fairlead-memory").FullName;
        try
        {
            _upstream.Answer = context => context.Request.Path.Value!.EndsWith("/responses", StringComparison.Ordinal) ? FakeUpstream.Json(context, "{}", 404) : FakeUpstream.Json(context, Completion(new string('y', 6_000_000)));
            await File.WriteAllTextAsync(Path.Combine(folder, "fairlead.yaml"), _upstream.Yaml("  requests: { memoryBudget: 64MiB, maxMemoryPerKey: 64MiB }"), Cancel);
            await using var server = await ServerProcess.ServeAsync(folder);
            var key = await server.ClientKeyAsync();
            string id;
            using (var made = await Processes.ProcessCalls.PostAsync(server, key, """{"model":"m","input":"hi"}""", "/v1/responses")) id = await IdOfAsync(made);
            var address = new Uri(server.Address);
            var clients = new List<TcpClient>();
            try
            {
                // Sixty readers that do not read: 720 MB, were their responses all held, and copied once more by the server.
                var refused = 0;
                await Parallel.ForEachAsync(Enumerable.Range(0, 60), new ParallelOptions { MaxDegreeOfParallelism = 8, CancellationToken = Cancel }, async (_, token) =>
                {
                    var client = new TcpClient();
                    lock (clients) clients.Add(client);
                    await client.ConnectAsync(address.Host, address.Port, token);
                    var stream = client.GetStream();
                    await stream.WriteAsync(Encoding.ASCII.GetBytes($"GET /v1/responses/{id} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n"), token);
                    var head = new byte[12];
                    await stream.ReadExactlyAsync(head, token);
                    if (Encoding.ASCII.GetString(head) == "HTTP/1.1 503") Interlocked.Increment(ref refused);
                });
                Assert.InRange(refused, 40, 59);
                server.Process.Refresh();
                Assert.True(server.Process.WorkingSet64 < 450L * 1024 * 1024, $"{server.Process.WorkingSet64 / 1024 / 1024} MiB are resident.");
            }
            finally
            {
                foreach (var client in clients) client.Dispose();
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task Server_ManyLargeRequestBodies_StaysWithinMemoryBudgetAndServesSmallOnes()
    {
        var folder = Directory.CreateTempSubdirectory("fairlead-memory").FullName;
        try
        {
            await File.WriteAllTextAsync(Path.Combine(folder, "fairlead.yaml"), _upstream.Yaml("  requests: { memoryBudget: 48MiB, maxMemoryPerKey: 48MiB }"), Cancel);
            await using var server = await ServerProcess.ServeAsync(folder);
            var key = await server.ClientKeyAsync();
            var address = new Uri(server.Address);
            var clients = new List<TcpClient>();
            try
            {
                // Forty bodies of 10 MB that never end: 400 MB, were they all held.
                var piece = Encoding.ASCII.GetBytes(new string(' ', 1_000_000));
                await Parallel.ForEachAsync(Enumerable.Range(0, 40), new ParallelOptions { MaxDegreeOfParallelism = 8, CancellationToken = Cancel }, async (_, token) =>
                {
                    var client = new TcpClient();
                    lock (clients) clients.Add(client);
                    await client.ConnectAsync(address.Host, address.Port, token);
                    var stream = client.GetStream();
                    try
                    {
                        await stream.WriteAsync(Encoding.ASCII.GetBytes($"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: 20000000\r\n\r\n"), token);
                        for (var i = 0; i < 10; i++) await stream.WriteAsync(piece, token);
                    }
                    catch (IOException)
                    {
                        // Refused, and closed.
                    }
                });
                using var served = await Processes.ProcessCalls.PostAsync(server, key, Small);
                Assert.Equal(HttpStatusCode.OK, served.StatusCode);
                server.Process.Refresh();
                Assert.True(server.Process.WorkingSet64 < 450L * 1024 * 1024, $"{server.Process.WorkingSet64 / 1024 / 1024} MiB are resident.");
            }
            finally
            {
                foreach (var client in clients) client.Dispose();
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private async Task<string> JobAsync(string body, string? key)
    {
        using var accepted = await PostAsync("/v1/chat/completions", body, key, "respond-async");
        var id = await IdOfAsync(accepted);
        var ended = await _gateway.Client.GetStringAsync(new Uri($"/v2/generations/{id}?wait=30", UriKind.Relative), Cancel);
        Assert.Contains("\"completed\"", ended, StringComparison.Ordinal);
        return id;
    }

    private async Task<HttpResponseMessage> PostAsync(string path, string body, string? key = null, string? prefer = null)
    {
        var headers = new List<(string Name, string Value)>();
        if (key is not null) headers.Add(("Idempotency-Key", key));
        if (prefer is not null) headers.Add(("Prefer", prefer));
        return await _gateway.Client.PostJsonAsync(path, body, headers, HttpCompletionOption.ResponseContentRead);
    }

    private static async Task<string> IdOfAsync(HttpResponseMessage response)
    {
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.IsSuccessStatusCode, text.Length > 1000 ? text[..1000] : text);
        return JsonDocument.Parse(text).RootElement.GetProperty("id").GetString()!;
    }

    private static async Task StreamedAsync(Microsoft.AspNetCore.Http.HttpContext context)
    {
        await BeginAsync(context);
        await FakeUpstream.SendAsync(context, Chunk("""{"role":"assistant","content":"hello"}"""), Chunk("{}", "stop"), UsageChunk(), "[DONE]");
    }

    private static Uri Address => new("/v1/chat/completions", UriKind.Relative);

    private static string Large(int bytes, string more = "") => $$"""{{{more}}"model":"m","messages":[{"role":"user","content":"{{new string('x', 10)}}"}]{{new string(' ', bytes)}}}""";

    private static StringContent Json(string body) => new(body, Encoding.UTF8, "application/json");

    private async Task<HttpResponseMessage> PostAsync(string body, bool chunked = false)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, Address) { Content = Json(body) };
        request.Headers.TransferEncodingChunked = chunked;
        return await _gateway.Client.SendAsync(request, Cancel);
    }

    private async Task<SeenStream> ReadAsync(string body)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, Address) { Content = Json(body) };
        using var response = await _gateway.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Cancel);
        return await SeenStream.ReadAsync(response, Cancel);
    }

    private async Task<ClientWebSocket> ConnectAsync()
    {
        var socket = new ClientWebSocket();
        socket.Options.SetRequestHeader("Authorization", $"Bearer {_gateway.Key}");
        await socket.ConnectAsync(new Uri(_gateway.Url.Replace("http://", "ws://", StringComparison.Ordinal) + "/v1/responses"), Cancel);
        return socket;
    }

    private async Task FreeAsync()
    {
        for (var i = 0; _budget.Used != 0; i++)
        {
            Assert.True(i < 4000, $"{_budget.Used} bytes are still held.");
            await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Cancel);
        }
    }
}
