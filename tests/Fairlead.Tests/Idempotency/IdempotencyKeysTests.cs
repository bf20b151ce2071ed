using System.Text;
using Fairlead.Delivery;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Generations.Events;
using Fairlead.Idempotency;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Fairlead.Streaming;
using Fairlead.Tests.Auditing;
using Fairlead.Tests.Generations;
using Fairlead.Tests.Storage;
using Fairlead.Webhooks;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Idempotency;

public sealed class SqliteIdempotencyKeysTests() : IdempotencyKeysTests(StorageProvider.Sqlite);

public sealed class PostgresIdempotencyKeysTests() : IdempotencyKeysTests(StorageProvider.Postgres);

/// <summary>Keys of processes that die, and of times that pass.</summary>
public abstract class IdempotencyKeysTests : IDisposable
{
    private readonly TemporaryStorage _temporary;
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 11, 24, 12, 0, 0, TimeSpan.Zero));
    private readonly List<IDisposable> _owned = [];

    private protected IdempotencyKeysTests(StorageProvider provider) => _temporary = new TemporaryStorage(provider);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private TimeSpan Lease => _temporary.Configuration.Current.Jobs.Lease;

    public void Dispose()
    {
        foreach (var one in _owned) one.Dispose();
        _temporary.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Bind_ConcurrentNodes_HasOneWinner()
    {
        var nodes = Enumerable.Range(0, 6).Select(_ => Node()).ToArray();
        var replies = await Task.WhenAll(nodes.Select(node => Task.Run(async () => await node.BindAsync(Call(), "k", Cancel), Cancel)));
        Assert.Single(replies, reply => reply is null);
        Assert.All(replies.Where(reply => reply is not null), reply => Assert.Equal(ErrorCode.IdempotencyInProgress, Assert.IsType<GatewayReply.Refused>(reply).Error.Code));
    }

    [Fact]
    public async Task Bind_ConcurrentStreamsOnOneNode_JoinTheFirst()
    {
        var node = Node();
        for (var round = 0; round < 20; round++)
        {
            var key = $"k{round}";
            var replies = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(
                async () =>
                {
                    var call = Call();
                    var reply = await node.BindAsync(call, key, Cancel);
                    if (reply is null) call.Idempotency!.Log!.Append("data: x\n\n"u8);
                    return reply;
                },
                Cancel)));
            Assert.Single(replies, reply => reply is null);
            Assert.Equal(7, replies.OfType<GatewayReply.Joined>().Count());
        }
    }

    [Fact]
    public async Task Bind_StreamRefusedBeforeStart_RunsWaitingRequest()
    {
        var node = Node();
        var first = Call();
        Assert.Null(await node.BindAsync(first, "k", Cancel));
        var second = Call();
        var waiting = node.BindAsync(second, "k", Cancel).AsTask();
        Assert.False(waiting.IsCompleted);
        await node.ConcludeAsync(first, new GatewayError(ErrorCode.RateLimitExceeded, "x"));
        Assert.Null(await waiting);
        Assert.Equal(second.GenerationId, second.Idempotency!.GenerationId);
    }

    [Fact]
    public async Task Bind_StreamFailedPermanentlyBeforeStart_ReplaysError()
    {
        var node = Node();
        var first = Call();
        Assert.Null(await node.BindAsync(first, "k", Cancel));
        var waiting = node.BindAsync(Call(), "k", Cancel).AsTask();
        await node.CompleteAsync(first, 400, "application/json", "{}"u8.ToArray());
        Assert.Equal(400, Assert.IsType<GatewayReply.Replayed>(await waiting).Status);
    }

    [Fact]
    public async Task Bind_StreamSlowToStart_IsStillJoined()
    {
        var node = Node();
        Assert.Null(await node.BindAsync(Call(), "k", Cancel));
        var waiting = node.BindAsync(Call(), "k", Cancel).AsTask();
        while (!waiting.IsCompleted)
        {
            _time.Advance(TimeSpan.FromSeconds(1));
            await Task.Yield();
        }
        Assert.IsType<GatewayReply.Joined>(await waiting);
        Assert.Equal(ErrorCode.IdempotencyConflict, await RefusedAsync(node, """{"model":"other"}"""));
    }

    [Fact]
    public async Task Bind_WithRepeatPatience_WaitsForFirstResult()
    {
        var node = Node();
        var first = Call();
        first.Facts.Stream = false;
        Assert.Null(await node.BindAsync(first, "k", Cancel));
        var second = Call();
        (second.Facts.Stream, second.RepeatTimeout) = (false, TimeSpan.FromSeconds(7));
        var waiting = node.BindAsync(second, "k", Cancel).AsTask();
        var third = Call();
        third.Facts.Stream = false;
        Assert.Equal(ErrorCode.IdempotencyInProgress, Assert.IsType<GatewayReply.Refused>(await node.BindAsync(third, "k", Cancel)).Error.Code);
        await node.CompleteAsync(first, 202, "application/json", "{}"u8.ToArray());
        Assert.Equal(202, Assert.IsType<GatewayReply.Replayed>(await waiting).Status);
    }

    [Fact]
    public async Task Bind_ProcessDied_IsInProgressUntilLeaseEndsThenFailsWithoutRerun()
    {
        Assert.Null(await Node().BindAsync(Call(), "k", Cancel));
        var survivor = Node();
        Assert.Equal(ErrorCode.IdempotencyInProgress, await RefusedAsync(survivor));
        _time.Advance(Lease + TimeSpan.FromSeconds(1));
        Assert.Equal(ErrorCode.InternalError, await RefusedAsync(survivor));
        Assert.Equal(ErrorCode.InternalError, await RefusedAsync(survivor));
        Assert.Equal(ErrorCode.IdempotencyConflict, await RefusedAsync(survivor, """{"model":"other"}"""));
    }

    [Fact]
    public async Task Bind_ProcessAlive_RenewsLease()
    {
        var node = Node();
        Assert.Null(await node.BindAsync(Call(), "k", Cancel));
        for (var i = 0; i < 5; i++)
        {
            _time.Advance(Lease / 2);
            await node.RenewAsync(Cancel);
        }
        Assert.Equal(ErrorCode.IdempotencyInProgress, await RefusedAsync(Node()));
    }

    [Fact]
    public async Task Bind_ProcessDiedBeforeJobResponse_ReplaysJob()
    {
        var call = Call();
        Assert.Null(await Node().BindAsync(call, "k", Cancel));
        await Generations().Inserter.AddAsync(JobCalls.RecordOf(call), null, TimeSpan.Zero, Cancel);
        _time.Advance(Lease + TimeSpan.FromSeconds(1));
        var reply = Assert.IsType<GatewayReply.ReplayedJob>(await Node().BindAsync(Call(), "k", Cancel));
        Assert.Equal(call.GenerationId, reply.Record.Id);
    }

    [Fact]
    public async Task Bind_AfterTtl_KeyIsReusableAndDeleted()
    {
        var node = Node();
        var call = Call();
        Assert.Null(await node.BindAsync(call, "k", Cancel));
        await node.CompleteAsync(call, 200, "application/json", "{}"u8.ToArray());
        var replayed = Assert.IsType<GatewayReply.Replayed>(await node.BindAsync(Call(), "k", Cancel));
        Assert.Equal((200, call.GenerationId, "{}"), (replayed.Status, replayed.GenerationId, Encoding.UTF8.GetString(replayed.Body)));
        _time.Advance(_temporary.Configuration.Current.Idempotency.Ttl);
        var again = Call("""{"model":"other"}""");
        Assert.Null(await node.BindAsync(again, "k", Cancel));
        // What the first one would still say comes too late.
        await new IdempotencyStore(Open(), _time).CompleteAsync("proj_1", "k", call.GenerationId, 200, "application/json", false, "late"u8.ToArray(), Cancel);
        Assert.Equal(ErrorCode.IdempotencyInProgress, await RefusedAsync(Node(), """{"model":"other"}"""));
        await node.CompleteAsync(again, 200, "application/json", "{}"u8.ToArray());
        _time.Advance(_temporary.Configuration.Current.Idempotency.Ttl);
        await node.RenewAsync(Cancel);
        Assert.Null(await new IdempotencyStore(Open(), _time).FindAsync("proj_1", "k", null, Cancel));
    }

    [Fact]
    public async Task Conclude_RefusedBeforeAttempt_ReleasesKey()
    {
        var node = Node();
        var call = Call();
        Assert.Null(await node.BindAsync(call, "k", Cancel));
        await node.ConcludeAsync(call, new GatewayError(ErrorCode.RateLimitExceeded, "x"));
        Assert.Null(await node.BindAsync(Call(), "k", Cancel));
    }

    [Theory]
    [InlineData("""{"a":1,"b":[true,null,"x"]}""", """ { "a" : 1 , "b" : [ true , null , "x" ] } """, true)]
    [InlineData("""{"a":1}""", """{"a":2}""", false)]
    [InlineData("""{"a":"bc","d":""}""", """{"a":"b","cd":""}""", false)]
    [InlineData("""{"a":[1],"b":[]}""", """{"a":[],"b":[1]}""", false)]
    [InlineData("""{"a":"1"}""", """{"a":1}""", false)]
    public void RequestHash_EquivalentJson_IsEqual(string one, string other, bool same) =>
        Assert.Equal(same, RequestHash.Of("/p", Encoding.UTF8.GetBytes(one)).AsSpan().SequenceEqual(RequestHash.Of("/p", Encoding.UTF8.GetBytes(other))));

    [Fact]
    public void ReplayLog_PositionAfter_ReturnsStartOfNextEvent()
    {
        var bytes = "id: 0\ndata: {\"x\":\"id: 1\\n\"}\n\nid: 1\ndata: b\n\nid: 11\ndata: c\n\n"u8.ToArray();
        Assert.Equal("id: 11\ndata: c\n\n", Encoding.UTF8.GetString(bytes.AsSpan(ReplayLog.PositionAfter(bytes, "1"))));
        Assert.Equal(0, ReplayLog.PositionAfter(bytes, "7"));
        Assert.Equal(0, ReplayLog.PositionAfter(bytes, "1\nid: 1"));
        Assert.Equal(bytes.Length, ReplayLog.PositionAfter(bytes, "11"));
    }

    [Fact]
    public void ReplayLog_AboveLimit_CannotBeRead()
    {
        var log = new ReplayLog(10);
        log.Append("12345678"u8);
        log.Append("9abc"u8);
        Assert.True(log.Overflowed);
        Assert.Empty(log.ToArray());
        Assert.Equal([], log.Read(0, out _)!);
    }

    [Fact]
    public void ReplayLog_LongStream_IsReadInChunks()
    {
        var log = new ReplayLog();
        var all = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 20_000).Select(number => $"id: {number}\ndata: x\n\n")));
        log.Append(all);
        log.Complete(broken: false);
        var read = new List<byte>();
        while (log.Read(read.Count, out _) is { Length: > 0 } piece)
        {
            Assert.True(piece.Length <= 64 * 1024);
            read.AddRange(piece);
        }
        Assert.Equal(all, read);
        Assert.Equal(ReplayLog.PositionAfter(all, "15000"), log.PositionAfter("15000"));
    }

    [Fact]
    public async Task Bind_NoMemoryForReplayedResponse_ReturnsOverloaded()
    {
        var node = Node();
        var first = Call();
        Assert.Null(await node.BindAsync(first, "k", Cancel));
        await node.CompleteAsync(first, 200, "application/json", new byte[200_000]);
        var memory = new MemoryBudget(() => 100_000);
        var repeated = RecordedCalls.New(memory: memory);
        repeated.Body = new PooledBuffer(budget: memory);
        _owned.Add(repeated.Body);
        repeated.Body.Write(first.Body.WrittenSpan);
        Assert.Equal(ErrorCode.Overloaded, Assert.IsType<GatewayReply.Refused>(await node.BindAsync(repeated, "k", Cancel)).Error.Code);
    }

    private static async Task<ErrorCode> RefusedAsync(IdempotencyKeys node, string? body = null) =>
        Assert.IsType<GatewayReply.Refused>(await node.BindAsync(CallOf(body), "k", Cancel)).Error.Code;

    private static GatewayCall CallOf(string? body)
    {
        var call = RecordedCalls.New();
        call.Body = new PooledBuffer();
        call.Body.Write(Encoding.UTF8.GetBytes(body ?? """{"model":"large"}"""));
        return call;
    }

    private GatewayCall Call(string? body = null)
    {
        var call = CallOf(body);
        _owned.Add(call.Body);
        return call;
    }

    private IStorage Open() => _temporary.Open(new IdempotencySchema(), new Fairlead.Erasure.ErasureSchema(), new GenerationSchema(), new WebhookSchema(), new GenerationWebhookSchema(), new GenerationEventsSchema(), new GenerationBatchSchema(), new GenerationSuspicionSchema(), new GenerationQueueSchema(), new GenerationHoldSchema());

    private GenerationStores Generations() => GenerationStores.Of(Open(), _time);

    private IdempotencyKeys Node()
    {
        var node = new IdempotencyKeys(new IdempotencyStore(Open(), _time), Generations().Records, _temporary.Configuration, _time, NullLogger<IdempotencyKeys>.Instance);
        _owned.Add(node);
        return node;
    }
}
