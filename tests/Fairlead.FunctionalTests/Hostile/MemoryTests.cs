using System.Net;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Memory;
using Fairlead.Routing;
using Microsoft.Extensions.DependencyInjection;
using static Fairlead.FunctionalTests.Common.FakeUpstream;

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
        _gateway = await TestGateway.StartAsync(_upstream.Yaml("  requests: { memoryBudget: 8MiB, maxSocketMessageTime: 60s, maxSocketsPerKey: 3 }"));
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
    public async Task Call_Finished_GivesItsMemoryBack()
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
    public async Task Call_Refused_GivesItsMemoryBack(string body)
    {
        using var response = await PostAsync(body + new string(' ', 500_000));
        Assert.False(response.IsSuccessStatusCode);
        await FreeAsync();
    }

    [Fact]
    public async Task Body_ThatDoesNotFit_Is503_WhileSmallOnesAreServed()
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
    public async Task Client_ThatLeavesInTheMiddleOfItsBody_GivesItsMemoryBack(bool chunked)
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
    public async Task Call_WhoseDeadlinePasses_OrWhoseClientLeaves_GivesItsMemoryBack()
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
    public async Task Response_HeldWhole_ThatDoesNotFit_IsOverloaded()
    {
        _upstream.Answer = context => FakeUpstream.Json(context, Completion(new string('x', 9_000_000)));
        using var response = await PostAsync(Small);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
        Assert.Contains("\"overloaded\"", await response.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
        await FreeAsync();
    }

    [Fact]
    public async Task Stream_WithAnEventThatDoesNotFit_EndsAsOverloaded_AndOnlyIt()
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
    public async Task Upstream_ThatRepeatsRoleChunks_IsAFailedAttempt_AndHoldsNothing()
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
    public async Task Sockets_BeyondTheKeysLimit_AreRefused_UntilOneIsClosed()
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
    public async Task Socket_WithAnUnfinishedMessage_HoldsNothingOnceItIsClosed()
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
    public async Task Jobs_LargerThanTheBudgetTogether_AllEnd_AndHoldNothing()
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
                    // There is no room while others run, as its client is told.
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
    public async Task Server_UnderManyLargeBodies_StaysWithinItsBudget_AndServesSmallOnes()
    {
        var folder = Directory.CreateTempSubdirectory("fairlead-memory").FullName;
        try
        {
            await File.WriteAllTextAsync(Path.Combine(folder, "fairlead.yaml"), _upstream.Yaml("  requests: { memoryBudget: 48MiB }"), Cancel);
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
