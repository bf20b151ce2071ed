using Fairlead.Access;
using Fairlead.Errors;
using Fairlead.Storage;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Access;

public sealed class SqliteCallerSnapshotsTests() : CallerSnapshotsTests(StorageProvider.Sqlite);

public sealed class PostgresCallerSnapshotsTests() : CallerSnapshotsTests(StorageProvider.Postgres);

public abstract class CallerSnapshotsTests : IDisposable
{
    private readonly AccessFixture _access;

    private protected CallerSnapshotsTests(StorageProvider provider) => _access = new AccessFixture(provider);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Refresh_NothingChanged_KeepsSnapshot()
    {
        await _access.AddKeyAsync();
        var before = _access.Snapshots.Current;
        await _access.Snapshots.RefreshAsync(Cancellation);
        Assert.Same(before, _access.Snapshots.Current);
    }

    [Fact]
    public async Task Refresh_ChangedByAnotherProcess_LoadsChange()
    {
        var key = await _access.AddKeyAsync();
        await using (var connection = await _access.OpenAgain().OpenAsync(Cancellation))
        {
            await KeyTable.RevokeAsync(connection, "key_1", _access.Time.GetUtcNow(), Cancellation);
        }
        Assert.NotNull(_access.Authenticate(key).Caller);
        await _access.Snapshots.RefreshAsync(Cancellation);
        Assert.Null(_access.Authenticate(key).Caller);
    }

    [Fact]
    public async Task Refresher_StoreFails_KeepsSnapshotAndRecovers()
    {
        var key = await _access.AddKeyAsync();
        var time = new FakeTimeProvider();
        using var refresher = new CallerSnapshotRefresher(_access.Snapshots, time, NullLogger<CallerSnapshotRefresher>.Instance);
        await refresher.StartAsync(Cancellation);
        var before = _access.Snapshots.Current;

        await ExecuteAsync("ALTER TABLE api_keys RENAME TO hidden; UPDATE access_revision SET revision = revision + 1");
        await Assert.ThrowsAnyAsync<System.Data.Common.DbException>(() => _access.Snapshots.RefreshAsync(Cancellation));
        time.Advance(CallerSnapshotRefresher.Interval);
        await _access.Snapshots.ReloadAfterChangeAsync();
        Assert.Same(before, _access.Snapshots.Current);
        Assert.NotNull(_access.Authenticate(key).Caller);
        // A key that is not known may be one that another node made meanwhile; a wrong secret of a known key is wrong.
        while (!_access.Snapshots.IsStale)
        {
            time.Advance(CallerSnapshotRefresher.Interval);
            await Task.Yield();
            Cancellation.ThrowIfCancellationRequested();
        }
        Assert.Equal(ErrorCode.StoreUnavailable, _access.Authenticate(ApiKeyText.New().Text).Error?.Code);
        Assert.Equal(ErrorCode.InvalidApiKey, _access.Authenticate("fl_rubbish").Error?.Code);
        Assert.NotNull(_access.Authenticate(AccessFixture.AdminSecret).Caller);

        await ExecuteAsync("ALTER TABLE hidden RENAME TO api_keys");
        // Each tick is one look; the refresher's own thread may need a moment between them.
        while (ReferenceEquals(before, _access.Snapshots.Current))
        {
            time.Advance(CallerSnapshotRefresher.Interval);
            await Task.Yield();
            Cancellation.ThrowIfCancellationRequested();
        }
        while (_access.Snapshots.IsStale) await Task.Yield();
        Assert.Equal(ErrorCode.InvalidApiKey, _access.Authenticate(ApiKeyText.New().Text).Error?.Code);
        await refresher.StopAsync(Cancellation);
    }

    /// <summary>While keys come and go, one that stays is never refused and one that was revoked never comes back.</summary>
    [Fact]
    public async Task Reload_WhileAuthenticating_NeverLosesOrRevivesKeys()
    {
        var staying = await _access.AddKeyAsync(id: "key_staying");
        var revoked = await _access.AddKeyAsync(row => row.RevokedAt = _access.Time.GetUtcNow(), id: "key_revoked");
        using var done = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        var readers = Enumerable.Range(0, 3).Select(_ => Task.Factory.StartNew(() =>
        {
            // Threads of their own: spinning in the pool would starve the writer.
            do
            {
                if (_access.Authenticate(staying).Caller is null) return "the staying key was refused";
                if (_access.Authenticate(revoked).Caller is not null) return "the revoked key was let in";
            }
            while (!done.IsCancellationRequested);
            return "";
        }, Cancellation, TaskCreationOptions.LongRunning, TaskScheduler.Default)).ToArray();

        for (var i = 0; i < 40; i++)
        {
            var key = await _access.AddKeyAsync(id: $"key_{i}");
            Assert.NotNull(_access.Authenticate(key).Caller);
            await Task.WhenAll(_access.Snapshots.ReloadAsync(Cancellation), _access.Snapshots.RefreshAsync(Cancellation));
        }
        await done.CancelAsync();
        Assert.All(await Task.WhenAll(readers), Assert.Empty);
    }

    [Fact]
    public async Task ReloadAfterChange_DuringARead_SharesTheNextRead()
    {
        await _access.AddKeyAsync();
        var storage = new SlowStorage(_access.Storage);
        using var snapshots = AccessFixture.SnapshotsOf(storage);
        var first = snapshots.ReloadAfterChangeAsync();
        await storage.Opened.WaitAsync(Cancellation);

        var added = await _access.AddKeyAsync(id: "key_2");
        var others = Enumerable.Range(0, 100).Select(_ => snapshots.ReloadAfterChangeAsync()).ToArray();
        storage.Continue.SetResult();
        await Task.WhenAll([first, .. others]).WaitAsync(Cancellation);

        Assert.Equal(2, storage.Count);
        Assert.Equal(2, snapshots.Current!.Count);
        Assert.NotNull(_access.Authenticate(added).Caller);
    }

    [Fact]
    public async Task Reload_Limits_ReachTheCaller()
    {
        var key = await _access.AddKeyAsync(row => row.Limits = """{"usd_per_day":1}""");
        await ExecuteAsync("""
            UPDATE organizations SET limits = '{"requests_per_minute":5}', weight_millionths = 2500000;
            UPDATE projects SET limits = '{"classes":{"bulk":{"tokens_per_day":0}}}'
            """);
        await _access.Snapshots.RefreshAsync(Cancellation);
        var caller = _access.Authenticate(key).Caller!;
        Assert.True(LimitSets.Same(new LimitSet { RequestsPerMinute = 5 }, caller.OrganizationLimits));
        Assert.True(LimitSets.Same(new LimitSet { Classes = new Dictionary<string, LimitSet> { ["bulk"] = new() { TokensPerDay = 0 } } }, caller.ProjectLimits));
        Assert.True(LimitSets.Same(new LimitSet { PicoUsdPerDay = 1_000_000_000_000 }, caller.KeyLimits));
        Assert.Equal(2.5m, caller.OrganizationWeight);
    }

    [Fact]
    public async Task Reload_EqualLimits_ShareOneObjectInEverySnapshot()
    {
        const string Limits = """{"requests_per_minute":5}""";
        var first = await _access.AddKeyAsync(row => row.Limits = Limits, id: "key_1");
        var limits = _access.Authenticate(first).Caller!.KeyLimits;
        var second = await _access.AddKeyAsync(row => row.Limits = Limits, id: "key_2");
        var third = await _access.AddKeyAsync(id: "key_3");
        Assert.Same(limits, _access.Authenticate(first).Caller!.KeyLimits);
        Assert.Same(limits, _access.Authenticate(second).Caller!.KeyLimits);
        Assert.Same(LimitSet.None, _access.Authenticate(third).Caller!.KeyLimits);
        Assert.Equal(1, _access.Authenticate(third).Caller!.OrganizationWeight);
    }

    [Theory]
    [InlineData("garbage")]
    [InlineData("[]")]
    [InlineData("""{"requests_per_minute":-5}""")]
    [InlineData("""{"frobnicate":1}""")]
    public async Task Reload_LimitsEditedToNonsense_DisablesOnlyThatKey(string limits)
    {
        var broken = await _access.AddKeyAsync(row => row.Limits = limits, id: "key_broken");
        var whole = await _access.AddKeyAsync(id: "key_whole");
        Assert.Equal(ErrorCode.InvalidApiKey, _access.Authenticate(broken).Error?.Code);
        Assert.NotNull(_access.Authenticate(whole).Caller);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(1_000_000_001)]
    public async Task Reload_WeightEditedToNonsense_DisablesKeysOfThatOrganization(long millionths)
    {
        var key = await _access.AddKeyAsync();
        await ExecuteAsync($"UPDATE organizations SET weight_millionths = {millionths}");
        await _access.Snapshots.RefreshAsync(Cancellation);
        Assert.Equal(ErrorCode.InvalidApiKey, _access.Authenticate(key).Error?.Code);
    }

    public void Dispose()
    {
        _access.Dispose();
        GC.SuppressFinalize(this);
    }

    private async Task ExecuteAsync(string sql)
    {
        await using var connection = await _access.Storage.OpenAsync(Cancellation);
        await using var command = connection.CreateCommand();
#pragma warning disable CA2100 // Constants of this test.
        command.CommandText = sql;
#pragma warning restore CA2100
        await command.ExecuteNonQueryAsync(Cancellation);
    }

    /// <summary>Connections are opened only after <see cref="Continue"/>.</summary>
    private sealed class SlowStorage(IStorage inner) : IStorage
    {
        private readonly TaskCompletionSource _opened = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int _count;

        public TaskCompletionSource Continue { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Opened => _opened.Task;

        public int Count => _count;

        public SqlFlavour Sql => inner.Sql;

        public IDatabaseNotifier Notifier => inner.Notifier;

        public Task EnsureReadyAsync(CancellationToken cancellationToken) => inner.EnsureReadyAsync(cancellationToken);

        public async ValueTask<System.Data.Common.DbConnection> OpenAsync(CancellationToken cancellationToken)
        {
            Interlocked.Increment(ref _count);
            _opened.TrySetResult();
            await Continue.Task.WaitAsync(cancellationToken);
            return await inner.OpenAsync(cancellationToken);
        }
    }
}
