using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Memory;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.DependencyInjection;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Generations;

/// <summary>Readers that are too slow for what they read, and events that cannot be read.</summary>
public sealed class SlowReaderTests : IAsyncLifetime
{
    private const int Pieces = 300;

    private static readonly string Piece = new('x', 100_000);

    private readonly TaskCompletionSource _whole = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private FakeUpstream _upstream = null!;
    private TestGateway _gateway = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _gateway = await TestGateway.StartAsync(_upstream.Yaml());
        _upstream.Answer = async context =>
        {
            context.RequestAborted.Register(() => _whole.TrySetException(new IOException("The generation was stopped.")));
            await BeginAsync(context);
            await FakeUpstream.SendAsync(context, Chunk("""{"role":"assistant","content":"begun"}"""));
            for (var i = 0; i < Pieces; i++) await FakeUpstream.SendAsync(context, Chunk($$"""{"content":"{{Piece}}"}"""));
            await FakeUpstream.SendAsync(context, Chunk("""{"content":"ended"}"""), Chunk("{}", "stop"), UsageChunk(), "[DONE]");
            _whole.TrySetResult();
        };
    }

    public async ValueTask DisposeAsync()
    {
        var budget = _gateway.Services.GetRequiredService<MemoryBudget>();
        await _gateway.DisposeAsync();
        Assert.Equal(0, budget.Used);
        await _upstream.DisposeAsync();
    }

    [Fact]
    public async Task FirstClient_StopsReading_IsDisconnectedAndGenerationContinues()
    {
        using var client = await AskAsync("\"fairlead\":{\"on_disconnect\":\"continue\"},", "");
        await _whole.Task.WaitAsync(TimeSpan.FromSeconds(60), Cancel);
        Assert.Equal("complete", (await RecordAsync()).GetProperty("outcome").GetString());
    }

    [Fact]
    public async Task FirstClient_StopsReadingWithIdempotencyKey_ReplayGetsFullResponse()
    {
        using (var client = await AskAsync("", "Idempotency-Key: slow-one\r\n"))
        {
            await _whole.Task.WaitAsync(TimeSpan.FromSeconds(60), Cancel);
            Assert.Equal("complete", (await RecordAsync()).GetProperty("outcome").GetString());
        }
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri("/v1/chat/completions", UriKind.Relative)) { Content = new StringContent(Body(""), Encoding.UTF8, "application/json") };
        request.Headers.Add("Idempotency-Key", "slow-one");
        using var response = await _gateway.Client.SendAsync(request, Cancel);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.StatusCode == HttpStatusCode.OK, text[..Math.Min(500, text.Length)]);
        Assert.Contains("begun", text, StringComparison.Ordinal);
        Assert.Contains("ended", text, StringComparison.Ordinal);
        Assert.True(text.Count(letter => letter == 'x') >= Pieces * Piece.Length);
    }

    [Fact]
    public async Task StoredEvents_CorruptOrMissing_FailReader()
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri("/v1/chat/completions", UriKind.Relative)) { Content = new StringContent("""{"model":"sim-echo","messages":[{"role":"user","content":"hi"}]}""", Encoding.UTF8, "application/json") };
        request.Headers.Add("Prefer", "respond-async");
        using var accepted = await _gateway.Client.SendAsync(request, Cancel);
        var id = JsonDocument.Parse(await accepted.Content.ReadAsStringAsync(Cancel)).RootElement.GetProperty("id").GetString();
        await _gateway.Client.GetStringAsync(new Uri($"/v2/generations/{id}?wait=60", UriKind.Relative), Cancel);
        foreach (var damage in new[] { "UPDATE generation_events SET events = x'00'", "DELETE FROM generation_events" })
        {
            await using (var connection = new SqliteConnection($"Data Source={Path.Combine(_gateway.DataDirectory, "fairlead.db")};Pooling=False"))
            {
                await connection.OpenAsync(Cancel);
                await using var command = connection.CreateCommand();
                command.CommandText = damage;
                Assert.True(await command.ExecuteNonQueryAsync(Cancel) > 0);
            }
            var reading = ReadAsync(id!);
            // The kind of failure does not matter. The reader must not start again forever.
            var failed = await reading.WaitAsync(TimeSpan.FromSeconds(30), Cancel);
            Assert.True(failed, damage);
        }
    }

    private async Task<bool> ReadAsync(string id)
    {
        try
        {
            using var response = await _gateway.Client.GetAsync(new Uri($"/v2/generations/{id}/events", UriKind.Relative), Cancel);
            return !response.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return true;
        }
    }

    private static string Body(string more) => $$"""{{{more}}"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}""";

    private async Task<TcpClient> AskAsync(string more, string headers)
    {
        var client = new TcpClient { ReceiveBufferSize = 4096 };
        var url = new Uri(_gateway.Url);
        await client.ConnectAsync(url.Host, url.Port, Cancel);
        var body = Body(more);
        await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes($"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {_gateway.Key}\r\nContent-Type: application/json\r\n{headers}Content-Length: {body.Length}\r\n\r\n{body}"), Cancel);
        return client;
    }

    private async Task<JsonElement> RecordAsync()
    {
        while (true)
        {
            var records = JsonDocument.Parse(await _gateway.Admin.GetStringAsync(new Uri("/admin/v1/audit", UriKind.Relative), Cancel)).RootElement.GetProperty("data");
            if (records.GetArrayLength() > 0) return records[0];
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, Cancel);
        }
    }
}
