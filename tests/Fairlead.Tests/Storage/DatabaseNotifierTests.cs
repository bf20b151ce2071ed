using System.Threading.Channels;
using Fairlead.Storage;
using Fairlead.Tests.Common;

namespace Fairlead.Tests.Storage;

public sealed class SqliteDatabaseNotifierTests() : DatabaseNotifierTests(StorageProvider.Sqlite);

public sealed class PostgresDatabaseNotifierTests() : DatabaseNotifierTests(StorageProvider.Postgres)
{
    [Fact]
    public async Task Announce_OnOtherNode_IsReceived()
    {
        await Temporary.Open().EnsureReadyAsync(Cancellation);
        var heard = Listen(Temporary.Open(), "jobs");
        // Only now is it certain that the other node listens.
        Assert.Null(await heard.ReadAsync(Cancellation));

        var here = Temporary.Open();
        here.Notifier.Announce("others", "no");
        for (var i = 0; i < 500; i++) here.Notifier.Announce("jobs", $"gen {i}");
        var seen = new HashSet<string>();
        while (seen.Count < 500) Assert.True(seen.Add((await heard.ReadAsync(Cancellation))!));
        Assert.Contains("gen 499", seen);
    }

    [Fact]
    public async Task Announce_AlreadyReceivedLocally_IsNotEchoedByDatabase()
    {
        var storage = Temporary.Open();
        await storage.EnsureReadyAsync(Cancellation);
        var own = Listen(storage, "jobs");
        var other = Listen(Temporary.Open(), "jobs");
        Assert.Null(await own.ReadAsync(Cancellation));
        Assert.Null(await other.ReadAsync(Cancellation));

        storage.Notifier.Announce("jobs", "first");
        Assert.Equal("first", await other.ReadAsync(Cancellation));
        storage.Notifier.Announce("jobs", "second");
        Assert.Equal("second", await other.ReadAsync(Cancellation));
        Assert.Equal("first", await own.ReadAsync(Cancellation));
        Assert.Equal("second", await own.ReadAsync(Cancellation));
        Assert.False(own.TryRead(out _));
    }

    [Fact]
    public async Task Subscribe_ConnectionLost_ResubscribesAndSignalsPossibleLoss()
    {
        var storage = Temporary.Open();
        await storage.EnsureReadyAsync(Cancellation);
        var heard = Listen(storage, "jobs");
        Assert.Null(await heard.ReadAsync(Cancellation));
        TestPostgres.Execute(Temporary.ConnectionString!, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'");
        Assert.Null(await heard.ReadAsync(Cancellation));

        Temporary.Open().Notifier.Announce("jobs", "after");
        Assert.Equal("after", await heard.ReadAsync(Cancellation));
    }
}

public abstract class DatabaseNotifierTests : IDisposable
{
    private protected DatabaseNotifierTests(StorageProvider provider) => Temporary = new TemporaryStorage(provider);

    private protected TemporaryStorage Temporary { get; }

    protected static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public void Announce_LocalSubscriber_IsNotifiedBeforeReturn()
    {
        var notifier = Temporary.Open().Notifier;
        var heard = new List<string?>();
        using (notifier.Subscribe("jobs", subject => heard.Add("a:" + subject)))
        {
            var second = notifier.Subscribe("jobs", subject => heard.Add("b:" + subject));
            notifier.Announce("jobs", "one");
            second.Dispose();
            notifier.Announce("jobs", "two");
            notifier.Announce("elsewhere", "three");
        }
        notifier.Announce("jobs", "four");
        // The filter drops the "may be lost" notification, which PostgreSQL's notifier sends when it starts to listen.
        Assert.Equal(["a:one", "b:one", "a:two"], heard.Where(subject => subject!.Length > 2));
    }

    public void Dispose()
    {
        Temporary.Dispose();
        GC.SuppressFinalize(this);
    }

    private protected static ChannelReader<string?> Listen(IStorage storage, string channel)
    {
        var heard = Channel.CreateUnbounded<string?>();
        storage.Notifier.Subscribe(channel, subject => heard.Writer.TryWrite(subject));
        return heard.Reader;
    }
}
