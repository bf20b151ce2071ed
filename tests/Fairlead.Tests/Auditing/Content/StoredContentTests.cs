using System.Text;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.Auditing;
using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Content;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Spooling;
using Fairlead.Storage;
using Fairlead.Tests.Auditing.Ledger;
using Fairlead.Tests.Auditing.Spooling;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Auditing.Content;

public sealed class SqliteStoredContentTests() : StoredContentTests(StorageProvider.Sqlite);

public sealed class PostgresStoredContentTests() : StoredContentTests(StorageProvider.Postgres);

/// <summary>Content beside the records: shipped with them, proven by them, removed without them.</summary>
public abstract class StoredContentTests : IAsyncLifetime
{
    private const string Marker = "a text that only one call has";

    private static readonly ContentRecording Full = new(AuditContent.Full, 64 * 1024);

    private readonly LedgerFixture _fixture;
    private readonly AuditSigner _signer;
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 11, 23, 12, 0, 0, TimeSpan.Zero));
    private readonly AuditReader _reader;
    private readonly ContentRemover _remover;
    private Spool _spool = null!;
    private LedgerShipper _shipper = null!;

    private protected StoredContentTests(StorageProvider provider)
    {
        _fixture = new LedgerFixture(provider);
        _signer = AuditSigner.Open(Path.Combine(_fixture.Spools.Root, "key.pem"));
        _reader = new AuditReader(_fixture.Storage);
        _remover = new ContentRemover(_fixture.Storage, _reader, _time, _signer);
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync()
    {
        _spool = _fixture.Spools.Open(segmentBytes: 1024 * 1024, time: _time);
        _shipper = _fixture.ShipSigned(_spool, _signer, _time);
        return default;
    }

    public ValueTask DisposeAsync()
    {
        _fixture.Dispose();
        _signer.Dispose();
        GC.SuppressFinalize(this);
        return default;
    }

    [Fact]
    public async Task Ship_Content_IsInTheDatabaseAndNoLongerOnTheSpool()
    {
        await CallAsync(Marker);
        Assert.Contains(Marker, SpoolText(), StringComparison.Ordinal);
        await LedgerFixture.ShipAllAsync(_shipper);
        Assert.DoesNotContain(Marker, SpoolText(), StringComparison.Ordinal);
        Assert.Contains(Marker, (await ContentsAsync())[0].GetRawText(), StringComparison.Ordinal);
        await VerifyAsync(contents: 1);
        // The record itself is still there, for the next process.
        Assert.Contains(TemporarySpool.ReadAll(_spool.Folder), entry => entry.Type == SpoolRecordType.CallEnded);
    }

    /// <summary>A process that was killed after its call ended: the next one finds both.</summary>
    [Fact]
    public async Task Restart_BeforeShipping_FindsRecordWithContent()
    {
        await CallAsync(Marker);
        _spool.Dispose();
        using var next = _fixture.Spools.Open(segmentBytes: 1024 * 1024, time: _time);
        await LedgerFixture.ShipAllAsync(_fixture.ShipSigned(next, _signer, _time));
        Assert.Contains(Marker, Assert.Single(await ContentsAsync()).GetRawText(), StringComparison.Ordinal);
        Assert.Equal(1, await _fixture.CountAsync("SELECT COUNT(*) FROM audit_contents"));
    }

    /// <summary>The database has it, but the process was killed before the spool was erased.</summary>
    [Fact]
    public async Task Restart_AfterErasing_AddsNothingTwice()
    {
        await CallAsync("first");
        await CallAsync(null);
        await LedgerFixture.ShipAllAsync(_shipper);
        _spool.Dispose();
        using var next = _fixture.Spools.Open(segmentBytes: 1024 * 1024, time: _time);
        await LedgerFixture.ShipAllAsync(_fixture.ShipSigned(next, _signer, _time));
        Assert.Equal(1, await _fixture.CountAsync("SELECT COUNT(*) FROM audit_contents"));
        Assert.Equal(2, (await _reader.ReadAsync(new AuditQuery(), Cancel)).Records.Count);
        await VerifyAsync(contents: 1);
    }

    /// <summary>The database has it, but the process was killed before it erased the spool: the next one does.</summary>
    [Fact]
    public async Task Restart_BeforeErasing_ErasesWhatTheDatabaseHas()
    {
        await CallAsync(Marker);
        var path = _spool.Folder.PathOf(_spool.FirstSegment);
        byte[] before;
        await using (var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete))
        {
            before = new byte[file.Length];
            await file.ReadExactlyAsync(before, Cancel);
        }
        await LedgerFixture.ShipAllAsync(_shipper);
        _spool.Dispose();
        await File.WriteAllBytesAsync(path, before, Cancel);
        Assert.Contains(Marker, await File.ReadAllTextAsync(path, Encoding.Latin1, Cancel), StringComparison.Ordinal);

        using var next = _fixture.Spools.Open(segmentBytes: 1024 * 1024, time: _time);
        var shipper = _fixture.ShipSigned(next, _signer, _time);
        Assert.True(await shipper.ShipAsync(Cancel));
        Assert.DoesNotContain(Marker, await File.ReadAllTextAsync(path, Encoding.Latin1, Cancel), StringComparison.Ordinal);
        await LedgerFixture.ShipAllAsync(shipper);
        Assert.Equal(1, await _fixture.CountAsync("SELECT COUNT(*) FROM audit_contents"));
    }

    /// <summary>A call whose content is larger than what was reserved for it keeps its record and its charge.</summary>
    [Fact]
    public async Task End_ContentLargerThanItsRoom_IsRecordedWithoutIt()
    {
        var call = CallContentTests.CallOf($$"""{"messages":[{"role":"user","content":"{{new string('x', 50_000)}}"}]}""", Full);
        await _spool.AttemptStartedAsync(call, call.Try());
        call.RecordRoom -= 40_000;
        await _spool.CallEndedAsync(call.End(), 200);
        call.RecordRoom = 0;
        await LedgerFixture.ShipAllAsync(_shipper);
        var content = Assert.Single(await ContentsAsync());
        Assert.Equal(("full", "size"), (content.GetProperty("level").GetString(), content.GetProperty("input_withheld").GetString()));
        await VerifyAsync(contents: 0);
    }

    /// <summary>Another organization that keeps its records for longer does not keep those of a node that is gone.</summary>
    [Fact]
    public async Task Retention_NodeThatIsGone_LosesBlocksWhoseRecordsHaveAllExpired()
    {
        _fixture.Settings.Set(new AuditConfig { Retention = TimeSpan.FromDays(30) });
        await OrganizationAsync("org_of_long", records: 1000, contents: null);
        await CallAsync("text", "plain");
        await LedgerFixture.ShipAllAsync(_shipper);
        using var other = _fixture.Spools.Open(segmentBytes: 1024 * 1024, time: _time);
        Assert.NotEqual(_spool.Folder.Node, other.Folder.Node);
        using var retention = new LedgerRetention(
            _fixture.Storage, _fixture.Settings, _time, NullLogger<LedgerRetention>.Instance, _signer, other, _remover);
        _time.Advance(TimeSpan.FromDays(40));
        Assert.Equal(1, await retention.DeleteAsync(Cancel));
        Assert.Equal(0, await _fixture.CountAsync("SELECT COUNT(*) FROM audit_blocks"));
        Assert.Equal(0, await _fixture.CountAsync("SELECT COUNT(*) FROM audit_contents"));
    }

    /// <summary>A block with records of both stays whole.</summary>
    [Fact]
    public async Task Retention_NodeThatIsGone_KeepsBlocksOfWhichSomeRecordsHaveNotExpired()
    {
        _fixture.Settings.Set(new AuditConfig { Retention = TimeSpan.FromDays(30) });
        await OrganizationAsync("org_of_long", records: 1000, contents: null);
        await CallAsync("text", "plain");
        await CallAsync("text", "long");
        await LedgerFixture.ShipAllAsync(_shipper);
        using var other = _fixture.Spools.Open(segmentBytes: 1024 * 1024, time: _time);
        using var retention = new LedgerRetention(
            _fixture.Storage, _fixture.Settings, _time, NullLogger<LedgerRetention>.Instance, _signer, other, _remover);
        _time.Advance(TimeSpan.FromDays(40));
        Assert.Equal(0, await retention.DeleteAsync(Cancel));
        await VerifyAsync(contents: 2);
    }

    /// <summary>Its records go when it said, and then nothing is left of it.</summary>
    [Fact]
    public async Task Retention_DeletedOrganization_KeepsItsTimesUntilItsLastRecordIsGone()
    {
        _fixture.Settings.Set(new AuditConfig { Retention = TimeSpan.FromDays(30) });
        await OrganizationAsync("org_of_long", records: 100, contents: 50);
        await CallAsync("text", "long");
        await LedgerFixture.ShipAllAsync(_shipper);
        await using (var connection = await _fixture.Storage.OpenAsync(Cancel))
            await new OrganizationResource(_time).DeleteAsync(connection, "org_of_long", Cancel);
        using var retention = new LedgerRetention(
            _fixture.Storage, _fixture.Settings, _time, NullLogger<LedgerRetention>.Instance, _signer, _spool, _remover);
        foreach (var (days, records, kept) in ((int, int, int)[])[(40, 1, 1), (90, 1, 1), (101, 0, 0)])
        {
            _time.SetUtcNow(new DateTimeOffset(2026, 11, 23, 12, 0, 1, TimeSpan.Zero).AddDays(days));
            await retention.DeleteAsync(Cancel);
            Assert.Equal(records, (await _reader.ReadAsync(new AuditQuery(), Cancel)).Records.Count);
            Assert.Equal(kept, await _fixture.CountAsync("SELECT COUNT(*) FROM deleted_organizations"));
        }
    }

    [Theory]
    [InlineData("UPDATE audit_contents SET data = {other} WHERE sequence = 2", 2, "was changed")]
    [InlineData("UPDATE audit_contents SET data = {other}, hash = {hash} WHERE sequence = 2", 2, "does not have the content that it states")]
    [InlineData("DELETE FROM audit_contents WHERE sequence = 2", 2, "lacks its content")]
    [InlineData("UPDATE audit_contents SET data = NULL WHERE sequence = 2", 2, "the signed statement that it was removed is missing")]
    [InlineData("UPDATE audit_contents SET data = NULL, removal = '{\"reason\":\"erasure\",\"at\":1,\"key_id\":\"audit-key-1\",\"signature\":\"AAAA\"}' WHERE sequence = 2", 2, "was changed or forged")]
    [InlineData("UPDATE audit_contents SET sequence = 4 WHERE sequence = 2", 4, "content that it does not know")]
    [InlineData("UPDATE audit_contents SET sequence = 9 WHERE sequence = 2", null, "records that are not there")]
    public async Task Verify_ChangedContent_IsFound(string sql, int? sequence, string problem)
    {
        for (var i = 0; i < 3; i++) await CallAsync($"call {i}");
        await CallAsync(null);
        await LedgerFixture.ShipAllAsync(_shipper);
        await VerifyAsync(contents: 3);
        var other = (await RowAsync(3)).Data!;
        var hash = (await RowAsync(3)).Hash;
        await _fixture.ExecuteAsync(sql.Replace("{other}", Hex(other), StringComparison.Ordinal).Replace("{hash}", Hex(hash), StringComparison.Ordinal));
        var faults = Assert.Single(await _fixture.VerifyAsync(_signer.Keys)).Faults;
        Assert.Contains(faults, fault => fault.Sequence == sequence && fault.Problem.Contains(problem, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Remove_OneAndSelection_LeavesValidChainAndSaysWhy()
    {
        await CallAsync(Marker, project: "proj_1");
        await CallAsync("another", project: "proj_2");
        await CallAsync("a third", project: "proj_1");
        await LedgerFixture.ShipAllAsync(_shipper);
        Assert.True(await _remover.RemoveAsync(_spool.Folder.Node, 1, RemovalReason.Erasure, Cancel));
        Assert.False(await _remover.RemoveAsync(_spool.Folder.Node, 1, RemovalReason.Erasure, Cancel));
        Assert.Equal(1, await _remover.RemoveAsync(new AuditQuery { ProjectId = "proj_1" }, RemovalReason.Erasure, Cancel));
        await VerifyAsync(contents: 1, removed: 2);
        var contents = await ContentsAsync();
        Assert.Equal(["removed_by_erasure", "another", "removed_by_erasure"], contents.Select(content =>
            content.TryGetProperty("unavailable", out var why) ? why.GetString() : content.GetProperty("output")[0].GetProperty("parts")[0].GetProperty("text").GetString()));
        Assert.All(contents, content => Assert.Equal(64, content.GetProperty("sha256").GetString()!.Length));
    }

    [Fact]
    public async Task Edit_RecordRemoved_TakesItsContentWithIt()
    {
        for (var i = 0; i < 4; i++) await CallAsync($"call {i}");
        await LedgerFixture.ShipAllAsync(_shipper);
        var block = await _fixture.CountAsync("SELECT MIN(number) FROM audit_blocks");
        Assert.Equal(2, await new BlockEditor(_fixture.Storage, _signer, _time).RemoveAsync(block, (_, place) => place is 1 or 2, RemovalReason.Erasure, Cancel));
        Assert.Equal(2, await _fixture.CountAsync("SELECT COUNT(*) FROM audit_contents"));
        await VerifyAsync(contents: 2);
    }

    [Fact]
    public async Task Encrypted_KeyRingInTheDatabase_IsReadByAnotherNodeAndNotWithoutTheRing()
    {
        _fixture.Settings.Set(new AuditConfig { EncryptContent = true });
        await CallAsync(Marker);
        await LedgerFixture.ShipAllAsync(_shipper);
        Assert.Equal(ContentForm.Encrypted, (await RowAsync(1)).Form);
        Assert.DoesNotContain(Marker, DatabaseText(), StringComparison.Ordinal);
        await VerifyAsync(contents: 1);

        using var other = new ContentSealer(_fixture.Storage, _fixture.Settings);
        Assert.Contains(Marker, (await ContentsAsync(other))[0].GetRawText(), StringComparison.Ordinal);

        await _fixture.ExecuteAsync("DELETE FROM key_ring");
        using var without = new ContentSealer(_fixture.Storage, _fixture.Settings);
        Assert.Equal("key_missing", (await ContentsAsync(without))[0].GetProperty("unavailable").GetString());
        var heads = new ChainHeads(_fixture.Spools.Root);
        var report = Assert.Single(await new ChainVerifier(_fixture.Storage, _signer.Keys, () => [.. heads.All()], [], heads.LocalNodes(), without).RunAsync(null, Cancel));
        Assert.Empty(report.Faults);
        Assert.Contains(report.Notes, note => note.Contains("encrypted content cannot be checked", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Encrypted_ChangedByte_IsFound()
    {
        _fixture.Settings.Set(new AuditConfig { EncryptContent = true });
        await CallAsync(Marker);
        await LedgerFixture.ShipAllAsync(_shipper);
        var data = (await RowAsync(1)).Data!;
        data[^1] ^= 1;
        await _fixture.ExecuteAsync($"UPDATE audit_contents SET data = {Hex(data)}");
        Assert.Contains(Assert.Single(await _fixture.VerifyAsync(_signer.Keys)).Faults, fault => fault.Problem.Contains("was changed", StringComparison.Ordinal));
        Assert.Equal("damaged", (await ContentsAsync())[0].GetProperty("unavailable").GetString());
    }

    /// <summary>Content first, then its record, each organization by its own times.</summary>
    [Fact]
    public async Task Retention_OrganizationsWithTheirOwnTimes_KeepWhatTheySay()
    {
        _fixture.Settings.Set(new AuditConfig { Retention = TimeSpan.FromDays(30), ContentRetention = TimeSpan.FromDays(10) });
        await OrganizationAsync("org_of_short", records: 5, contents: 2);
        await OrganizationAsync("org_of_long", records: 100, contents: 50);
        foreach (var project in (string[])["plain", "short", "long"]) await CallAsync("text of " + project, project);
        await LedgerFixture.ShipAllAsync(_shipper);
        using var retention = new LedgerRetention(
            _fixture.Storage, _fixture.Settings, _time, NullLogger<LedgerRetention>.Instance, _signer, _spool, _remover);

        foreach (var (days, records, contents) in ((int, string[], string[])[])
        [
            (1, ["plain", "short", "long"], ["plain", "short", "long"]),
            (3, ["plain", "short", "long"], ["plain", "long"]),
            (6, ["plain", "long"], ["plain", "long"]),
            (11, ["plain", "long"], ["long"]),
            (31, ["long"], ["long"]),
            (51, ["long"], []),
            (101, [], []),
        ])
        {
            _time.SetUtcNow(new DateTimeOffset(2026, 11, 23, 12, 0, 1, TimeSpan.Zero).AddDays(days));
            await retention.DeleteAsync(Cancel);
            var page = await _reader.ReadAsync(new AuditQuery(), Cancel);
            Assert.Equal(records.Order(), page.Records.Select(record => Project(record)).Order());
            var shown = await new ContentView(_fixture.Storage, _fixture.Contents).AddToAsync(page.Records, Cancel);
            Assert.Equal(contents.Order(), shown.Where(record => !Encoding.UTF8.GetString(record.Json.Span).Contains("unavailable", StringComparison.Ordinal)).Select(record => Project(record)).Order());
            Assert.Empty(Assert.Single(await _fixture.VerifyAsync(_signer.Keys)).Faults);
        }

        static string Project(StoredRecord record) => JsonDocument.Parse(record.Json).RootElement.GetProperty("project_id").GetString()!;
    }

    [Fact]
    public async Task Retention_ConfigurationForever_OnlyOrganizationsExpire()
    {
        _fixture.Settings.Set(new AuditConfig { Retention = null });
        await OrganizationAsync("org_of_short", records: 5, contents: null);
        foreach (var project in (string[])["plain", "short"]) await CallAsync("text", project);
        await LedgerFixture.ShipAllAsync(_shipper);
        using var retention = new LedgerRetention(
            _fixture.Storage, _fixture.Settings, _time, NullLogger<LedgerRetention>.Instance, _signer, _spool, _remover);
        _time.Advance(TimeSpan.FromDays(4000));
        Assert.Equal(1, await retention.DeleteAsync(Cancel));
        Assert.Equal(1, await _fixture.CountAsync("SELECT COUNT(*) FROM audit_contents"));
        await VerifyAsync(contents: 1);
    }

    /// <summary>A call on a small disk: its content has room before it is sent.</summary>
    [Fact]
    public async Task Reserve_CallWithContent_HasRoomForIt()
    {
        var call = CallContentTests.CallOf("""{"messages":[]}""", Full);
        await _spool.AttemptStartedAsync(call, call.Try());
        Assert.InRange(_spool.Reserved, Full.MaxBytes, 2 * Full.MaxBytes);
        await _spool.CallEndedAsync(call.End(), 200);
        Assert.Equal(0, _spool.Reserved);
    }

    private async Task CallAsync(string? output, string project = "proj_1")
    {
        var recording = output is null ? null : Full;
        var call = RecordedCalls.New(_time, project, recording: recording);
        if (output is not null)
        {
            var made = CallContentTests.CallOf("""{"messages":[{"role":"user","content":"hi"}]}""", Full, output);
            (call.Body, call.Output, call.HasPassedPolicies) = (made.Body, made.Output, true);
        }
        await _spool.AttemptStartedAsync(call, call.Try());
        await _spool.CallEndedAsync(call.End(), 200);
    }

    private async Task<List<JsonElement>> ContentsAsync(ContentSealer? sealer = null)
    {
        var page = await _reader.ReadAsync(new AuditQuery(), Cancel);
        var shown = await new ContentView(_fixture.Storage, sealer ?? _fixture.Contents).AddToAsync(page.Records, Cancel);
        return [.. shown.OrderBy(record => record.Sequence).Select(record => JsonDocument.Parse(record.Json).RootElement.GetProperty("content"))];
    }

    private async Task VerifyAsync(int contents, int removed = 0)
    {
        var report = Assert.Single(await _fixture.VerifyAsync(_signer.Keys));
        Assert.Empty(report.Faults);
        Assert.Equal((contents, removed), (report.Contents, report.ContentsRemoved));
    }

    private async Task<ContentRow> RowAsync(long sequence)
    {
        await using var connection = await _fixture.Storage.OpenAsync(Cancel);
        return (await ContentTable.FindAsync(connection, _spool.Folder.Node, sequence, "", Cancel))!;
    }

    private async Task OrganizationAsync(string id, int? records, int? contents)
    {
        await using var connection = await _fixture.Storage.OpenAsync(Cancel);
        await OrganizationTable.InsertAsync(connection, new OrganizationRow
        {
            Id = id, Name = id, AuditRetentionDays = records, AuditContentRetentionDays = contents, CreatedAt = _time.GetUtcNow(), UpdatedAt = _time.GetUtcNow(),
        }, Cancel);
    }

    private string SpoolText() => string.Concat(Directory.EnumerateFiles(_spool.Folder.Path).Where(path => Path.GetFileName(path) != "lock").Select(Read));

    private string DatabaseText() => _fixture.Storage.Provider == StorageProvider.Sqlite
        ? string.Concat(Directory.EnumerateFiles(_fixture.Database.DataDirectory, "fairlead.db*").Select(Read)) : "";

    private static string Read(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        using var reader = new StreamReader(file, Encoding.Latin1);
        return reader.ReadToEnd();
    }

    private string Hex(byte[] bytes) => _fixture.Storage.Provider == StorageProvider.Sqlite
        ? $"X'{Convert.ToHexString(bytes)}'" : $"'\\x{Convert.ToHexString(bytes)}'::bytea";
}
