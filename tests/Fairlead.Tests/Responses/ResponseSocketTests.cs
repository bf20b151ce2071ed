using System.Buffers;
using System.IO.Pipelines;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using Fairlead.Delivery;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Responses;
using Fairlead.Tests.Auditing;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Responses;

/// <summary>The connection itself, with an endpoint that does what a test wants.</summary>
public sealed class ResponseSocketTests : IAsyncDisposable
{
    private const string Create = """{"type":"response.create","model":"m","input":"x"}""";

    private readonly ObservedTimeProvider _time = new(new DateTimeOffset(2026, 11, 29, 12, 0, 0, TimeSpan.Zero));
    private readonly MemoryBudget _budget = new(() => 4 * 1024 * 1024);
    private readonly DrainState _drain = new();
    private readonly CancellationTokenSource _stopping = new();
    private readonly WaitLog _log = new();
    private readonly Duplex _serverStream;
    private readonly WebSocket _client;
    private readonly WebSocket _server;
    private readonly Task _running;
    private Func<ClientExchange, Task> _serve = _ => Task.CompletedTask;

    public ResponseSocketTests()
    {
        var (there, back) = (new Pipe(), new Pipe());
        _client = WebSocket.CreateFromStream(new Duplex(back.Reader, there.Writer), new WebSocketCreationOptions());
        _serverStream = new Duplex(there.Reader, back.Writer);
        _server = WebSocket.CreateFromStream(_serverStream, new WebSocketCreationOptions { IsServer = true });
        var upgrade = new DefaultHttpContext();
        var socket = new ResponseSocket(upgrade, _server, exchange => _serve(exchange), new SocketLimits(8 * 1024 * 1024, TimeSpan.FromSeconds(60)), _budget, _drain, _time, _log);
        _running = Task.Run(async () =>
        {
            using (socket) await socket.RunAsync(_stopping.Token);
        });
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask DisposeAsync()
    {
        _client.Abort();
        _server.Abort();
        await _running.WaitAsync(TimeSpan.FromSeconds(20));
        Assert.Equal(0, _budget.Used);
        Assert.Equal(0, _drain.Active);
        _client.Dispose();
        _server.Dispose();
        _stopping.Dispose();
        _drain.Dispose();
    }

    [Fact]
    public async Task Shutdown_TurnJustStarting_LetsItComplete()
    {
        using var scheduled = new ManualResetEventSlim();
        var goOn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _serve = async exchange =>
        {
            await SendEventAsync(exchange, "{\"type\":\"response.created\"}\n");
            await goOn.Task.WaitAsync(Cancel);
            await SendEventAsync(exchange, "{\"type\":\"response.completed\"}\n");
        };
        // The first event is with the client, and the thread that began the turn is not scheduled for a while.
        _serverStream.Written = () =>
        {
            _serverStream.Written = null;
            scheduled.Wait(Cancel);
        };
        await SendAsync(Create);
        Assert.Equal("response.created", await TypeAsync());
        await _stopping.CancelAsync();
        scheduled.Set();
        goOn.SetResult();
        Assert.Equal("response.completed", await TypeAsync());
        Assert.Null(await TypeAsync());
        Assert.Equal(WebSocketCloseStatus.EndpointUnavailable, _client.CloseStatus);
    }

    [Fact]
    public async Task Socket_MessageAfterShutdownStarted_StartsNoTurn()
    {
        var held = new TaskCompletionSource();
        _serve = async exchange =>
        {
            await SendEventAsync(exchange, "{\"type\":\"response.created\"}\n");
            await held.Task;
        };
        await SendAsync(Create);
        Assert.Equal("response.created", await TypeAsync());
        await _stopping.CancelAsync();
        await SendAsync(Create);
        Assert.Equal("error", await TypeAsync());
        held.SetResult();
        Assert.Null(await TypeAsync());
    }

    [Theory]
    [InlineData(502, "text/html", "<html>Bad gateway</html>")]
    [InlineData(500, "application/json", "{\"half\":")]
    [InlineData(500, "application/json", "[1]")]
    [InlineData(503, null, "")]
    [InlineData(200, "application/json", "nonsense")]
    public async Task Body_InsteadOfEvents_IsAnErrorEventAndTheConnectionGoesOn(int status, string? type, string body)
    {
        _serve = async exchange =>
        {
            exchange.Response.Status = status;
            exchange.Response.Headers.ContentType = type;
            if (body.Length > 0) await exchange.Response.WriteBodyAsync(Encoding.UTF8.GetBytes(body), Cancel);
        };
        for (var i = 0; i < 2; i++)
        {
            await SendAsync(Create);
            var error = (await ReceiveAsync())!.Value;
            Assert.Equal("error", error.GetProperty("type").GetString());
            Assert.Equal("internal_error", error.GetProperty("error").GetProperty("code").GetString());
        }
    }

    [Fact]
    public async Task Endpoint_Throws_SendsErrorEvent()
    {
        _serve = _ => throw new NotSupportedException("a bug");
        await SendAsync(Create);
        Assert.Equal("error", await TypeAsync());
        _serve = async exchange =>
        {
            await SendEventAsync(exchange, "{\"type\":\"response.completed\"}\n");
        };
        await SendAsync(Create);
        Assert.Equal("response.completed", await TypeAsync());
    }

    [Theory]
    [InlineData(17)]
    [InlineData(40)]
    public async Task Event_AboveMessageSizeLimit_SendsPayloadTooLarge(int mebibytes)
    {
        await using var roomy = new Roomy();
        roomy.Serve = async exchange =>
        {
            Write(exchange, "{\"type\":\"response.created\"}\n{\"type\":\"response.completed\",\"text\":\"");
            var piece = new string('x', 1024 * 1024);
            for (var i = 0; i < mebibytes; i++) Write(exchange, piece);
            await SendEventAsync(exchange, "\"}\n");
        };
        await roomy.SendAsync(Create);
        Assert.Equal("response.created", (await roomy.ReceiveAsync())!.Value.GetProperty("type").GetString());
        var error = (await roomy.ReceiveAsync())!.Value;
        Assert.Equal("payload_too_large", error.GetProperty("error").GetProperty("code").GetString());
        Assert.Equal(413, error.GetProperty("status").GetInt32());
    }

    [Fact]
    public async Task Event_NoMemoryLeft_EndsTurnAsOverloaded()
    {
        var goOn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _serve = async exchange =>
        {
            await SendEventAsync(exchange, "{\"type\":\"response.created\"}\n");
            await goOn.Task.WaitAsync(Cancel);
            await SendEventAsync(exchange, new string('x', 3 * 1024 * 1024) + "\n");
        };
        await SendAsync(Create);
        Assert.Equal("response.created", await TypeAsync());
        goOn.SetResult();
        var error = (await ReceiveAsync())!.Value;
        Assert.Equal("overloaded", error.GetProperty("error").GetProperty("code").GetString());
        Assert.Equal(503, error.GetProperty("status").GetInt32());
    }

    [Fact]
    public async Task Flush_CancelledWhileTheClientDoesNotRead_LosesNothing()
    {
        var wasCancelled = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        var text = new string('x', 300_000);
        _serve = async exchange =>
        {
            var events = exchange.Response.Events;
            using var stop = new CancellationTokenSource();
            Write(exchange, $"{{\"type\":\"one\",\"text\":\"{text}\"}}\n");
            var flushing = events.FlushAsync(stop.Token).AsTask();
            await stop.CancelAsync();
            wasCancelled.SetResult(await Task.WhenAny(flushing) is { IsCanceled: true });
            Write(exchange, "{\"type\":\"two\"}\n{\"type\":\"three\"}\n");
            Assert.True(await events.FlushAsync(Cancel));
        };
        await SendAsync(Create);
        Assert.True(await wasCancelled.Task.WaitAsync(TimeSpan.FromSeconds(20), Cancel));
        var first = (await ReceiveAsync())!.Value;
        Assert.Equal(("one", text), (first.GetProperty("type").GetString(), first.GetProperty("text").GetString()));
        Assert.Equal("two", await TypeAsync());
        Assert.Equal("three", await TypeAsync());
    }

    [Fact]
    public async Task GiveUp_WhileTheClientDoesNotRead_EndsTheFlush()
    {
        var isOpen = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        _serve = async exchange =>
        {
            Write(exchange, new string('x', 300_000) + "\n");
            var flushing = exchange.Response.Events.FlushAsync(Cancel);
            exchange.Response.Events.CancelPendingFlush();
            isOpen.SetResult(await flushing);
        };
        await SendAsync(Create);
        Assert.False(await isOpen.Task.WaitAsync(TimeSpan.FromSeconds(20), Cancel));
    }

    [Fact]
    public async Task Socket_MessageAboveMemoryBudget_ClosesOnlyThatConnectionAsOverloaded()
    {
        await using var other = new Roomy(_budget);
        other.Serve = async exchange =>
        {
            await SendEventAsync(exchange, "{\"type\":\"response.completed\"}\n");
        };
        var piece = Encoding.UTF8.GetBytes(new string(' ', 1024 * 1024));
        var receiving = ReceiveAsync();
        for (var i = 0; i < 6 && !receiving.IsCompleted; i++) await _client.SendAsync(piece, WebSocketMessageType.Text, endOfMessage: false, Cancel);
        var error = (await receiving)!.Value;
        Assert.Equal("overloaded", error.GetProperty("error").GetProperty("code").GetString());
        Assert.Null(await ReceiveAsync());
        await _client.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, Cancel);
        await _running.WaitAsync(TimeSpan.FromSeconds(20), Cancel);
        await other.SendAsync(Create);
        Assert.Equal("response.completed", (await other.ReceiveAsync())!.Value.GetProperty("type").GetString());
    }

    [Fact]
    public async Task Socket_MessageNotCompletedInTime_ReturnsErrorAndCloses()
    {
        await _client.SendAsync("{\"type\":"u8.ToArray(), WebSocketMessageType.Text, endOfMessage: false, Cancel);
        // The time counts from the first piece that the server has.
        await _time.TimerAsync(TimeSpan.FromSeconds(60), Cancel);
        _time.Advance(TimeSpan.FromSeconds(60));
        Assert.Equal("malformed_json", (await ReceiveAsync())!.Value.GetProperty("error").GetProperty("code").GetString());
        Assert.Null(await ReceiveAsync());
        Assert.Equal(WebSocketCloseStatus.PolicyViolation, _client.CloseStatus);
    }

    [Fact]
    public async Task Request_FromSocketMessage_DropsTypeAndSetsStreamTrue()
    {
        var seen = new TaskCompletionSource<string>();
        _serve = async exchange =>
        {
            var call = RecordedCalls.New();
            await exchange.Request.ReadBodyAsync(call, new RequestBounds());
            using (call.Body) seen.SetResult(Encoding.UTF8.GetString(call.Body.WrittenSpan));
        };
        await SendAsync("""{ "stream" : false, "type":"response.create", "model": "m", "a":[1, {"type":"x","stream":2}] , "b":1.50 }""");
        Assert.Equal("""{"model": "m","a":[1, {"type":"x","stream":2}],"b":1.50,"stream":true}""", await seen.Task.WaitAsync(TimeSpan.FromSeconds(20), Cancel));
    }

    [Fact]
    public async Task Turn_AbortedAfterEvents_EndsWithErrorEvent()
    {
        _serve = async exchange =>
        {
            await SendEventAsync(exchange, "{\"type\":\"response.created\"}\n");
            exchange.Response.Abort();
        };
        for (var i = 0; i < 2; i++)
        {
            await SendAsync(Create);
            Assert.Equal("response.created", await TypeAsync());
            var error = (await ReceiveAsync())!.Value;
            Assert.Equal("error", error.GetProperty("type").GetString());
            Assert.Equal(500, error.GetProperty("status").GetInt32());
            Assert.Equal("internal_error", error.GetProperty("error").GetProperty("code").GetString());
        }
    }

    [Theory]
    [InlineData("""{"type":"response.completed"}""")]
    [InlineData("""{"response":{"type":"x"},"type":"response.incomplete"}""")]
    [InlineData("""{"type":"response.failed"}""")]
    [InlineData("""{"type":"error"}""")]
    public async Task Turn_AbortedAfterItsLastEvent_SendsNothingMore(string last)
    {
        _serve = async exchange =>
        {
            await SendEventAsync(exchange, "{\"type\":\"response.created\"}\n" + last + "\n");
            exchange.Response.Abort();
        };
        for (var i = 0; i < 2; i++)
        {
            await SendAsync(Create);
            Assert.Equal("response.created", await TypeAsync());
            Assert.Equal(last, (await ReceiveAsync())!.Value.GetRawText());
        }
    }

    [Fact]
    public async Task Message_AfterTheLastEventWhileTheCallEnds_WaitsForItsTurn()
    {
        var ends = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _serve = async exchange =>
        {
            await SendEventAsync(exchange, "{\"type\":\"response.completed\"}\n");
            await ends.Task.WaitAsync(Cancel);
        };
        await SendAsync(Create);
        Assert.Equal("response.completed", await TypeAsync());
        await SendAsync(Create);
        var next = TypeAsync();
        // The server has read the message and waits, or it has refused it.
        Assert.NotSame(next, await Task.WhenAny(next, _log.Waits.WaitAsync(TimeSpan.FromSeconds(20), Cancel)));
        ends.SetResult();
        Assert.Equal("response.completed", await next);
    }

    [Fact]
    public async Task Flush_AfterACancelledOne_ReturnsTheMemoryOfBothBuffers()
    {
        var wasCancelled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _serve = async exchange =>
        {
            var events = exchange.Response.Events;
            // Fills the connection, so that the next event waits for the client.
            for (var i = 0; i < 7; i++) await SendEventAsync(exchange, $"{{\"type\":\"{new string('x', 9_000)}\"}}\n");
            using var stop = new CancellationTokenSource();
            events.Buffer.GetSpan(100_000);
            Write(exchange, $"{{\"type\":\"{new string('y', 9_000)}\"}}\n");
            var flushing = events.FlushAsync(stop.Token).AsTask();
            await stop.CancelAsync();
            Assert.True(await Task.WhenAny(flushing) is { IsCanceled: true });
            events.Buffer.GetSpan(100_000);
            Write(exchange, "{\"type\":\"response.completed\"}\n");
            wasCancelled.SetResult();
            await events.FlushAsync(Cancel);
        };
        await SendAsync(Create);
        await wasCancelled.Task.WaitAsync(TimeSpan.FromSeconds(20), Cancel);
        while (await TypeAsync() != "response.completed")
        {
            // Until the last event. Disposing the test checks the memory.
        }
    }

    [Fact]
    public async Task Event_NoMemoryLeft_ReturnsItsBufferBeforeTheTurnEnds()
    {
        var used = new TaskCompletionSource<long>(TaskCreationOptions.RunContinuationsAsynchronously);
        _serve = async exchange =>
        {
            var piece = new string('x', 64 * 1024);
            for (var i = 0; i < 64; i++) Write(exchange, piece);
            await SendEventAsync(exchange, "\n");
            used.SetResult(_budget.Used);
        };
        await SendAsync(Create);
        Assert.Equal("error", await TypeAsync());
        Assert.InRange(await used.Task.WaitAsync(TimeSpan.FromSeconds(20), Cancel), 0, 64 * 1024);
    }

    private static void Write(ClientExchange exchange, string text) => exchange.Response.Events.Buffer.Write(Encoding.UTF8.GetBytes(text));

    private static async Task SendEventAsync(ClientExchange exchange, string json)
    {
        Write(exchange, json);
        await exchange.Response.Events.FlushAsync(Cancel);
    }

    private Task SendAsync(string message) => SendAsync(_client, message);

    private Task<JsonElement?> ReceiveAsync() => ReceiveAsync(_client);

    private async Task<string?> TypeAsync() => (await ReceiveAsync())?.GetProperty("type").GetString();

    private static Task SendAsync(WebSocket socket, string message) => socket.SendAsync(Encoding.UTF8.GetBytes(message), WebSocketMessageType.Text, endOfMessage: true, Cancel);

    private static async Task<JsonElement?> ReceiveAsync(WebSocket socket)
    {
        var bytes = new MemoryStream();
        var piece = new byte[64 * 1024];
        while (true)
        {
            var got = await socket.ReceiveAsync(piece.AsMemory(), Cancel).AsTask().WaitAsync(TimeSpan.FromSeconds(30), Cancel);
            if (got.MessageType == WebSocketMessageType.Close) return null;
            bytes.Write(piece, 0, got.Count);
            if (got.EndOfMessage) return JsonDocument.Parse(bytes.ToArray()).RootElement;
        }
    }

    /// <summary>A second connection.</summary>
    private sealed class Roomy : IAsyncDisposable
    {
        private readonly DrainState _drain = new();
        private readonly WebSocket _client;
        private readonly WebSocket _server;
        private readonly Task _running;

        public Roomy(MemoryBudget? budget = null)
        {
            var (there, back) = (new Pipe(), new Pipe());
            _client = WebSocket.CreateFromStream(new Duplex(back.Reader, there.Writer), new WebSocketCreationOptions());
            _server = WebSocket.CreateFromStream(new Duplex(there.Reader, back.Writer), new WebSocketCreationOptions { IsServer = true });
            var socket = new ResponseSocket(new DefaultHttpContext(), _server, exchange => Serve(exchange), new SocketLimits(8 * 1024 * 1024, TimeSpan.FromSeconds(60)), budget ?? new MemoryBudget(() => 1L << 30), _drain, TimeProvider.System, NullLogger.Instance);
            _running = Task.Run(async () =>
            {
                using (socket) await socket.RunAsync(CancellationToken.None);
            });
        }

        public Func<ClientExchange, Task> Serve { get; set; } = _ => Task.CompletedTask;

        public Task SendAsync(string message) => ResponseSocketTests.SendAsync(_client, message);

        public Task<JsonElement?> ReceiveAsync() => ResponseSocketTests.ReceiveAsync(_client);

        public async ValueTask DisposeAsync()
        {
            _client.Abort();
            _server.Abort();
            await _running.WaitAsync(TimeSpan.FromSeconds(20));
            _client.Dispose();
            _server.Dispose();
            _drain.Dispose();
        }
    }

    /// <summary>Reports when a message waits for the end of the turn before it.</summary>
    private sealed class WaitLog : ILogger
    {
        private readonly TaskCompletionSource _waits = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Waits => _waits.Task;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (eventId.Name == "WaitsForTurn") _waits.TrySetResult();
        }
    }

    /// <summary>One end of a connection in memory.</summary>
    private sealed class Duplex(PipeReader input, PipeWriter output) : Stream
    {
        private readonly Stream _input = input.AsStream();
        private readonly Stream _output = output.AsStream();

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => _input.ReadAsync(buffer, cancellationToken);

        /// <summary>Called when something is with the other end.</summary>
        public Action? Written { get; set; }

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            await _output.WriteAsync(buffer, cancellationToken);
            Written?.Invoke();
        }

        public override Task FlushAsync(CancellationToken cancellationToken) => _output.FlushAsync(cancellationToken);

        public override void Flush() => _output.Flush();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            output.Complete();
            input.Complete();
            base.Dispose(disposing);
        }
    }
}
