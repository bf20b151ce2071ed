using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Records;
using Fairlead.Auditing.Spooling;
using Fairlead.Storage;
using Fairlead.Tests.Auditing.Ledger;
using Fairlead.Tests.Common;
using Fairlead.Tests.Storage;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Auditing.Chain;

public sealed class SqliteChainWhileRunningTests() : ChainWhileRunningTests(StorageProvider.Sqlite);

public sealed class PostgresChainWhileRunningTests() : ChainWhileRunningTests(StorageProvider.Postgres);

/// <summary>A server that runs while somebody changes the database must not sign what they have made of it.</summary>
public abstract class ChainWhileRunningTests : IAsyncLifetime
{
    private const int BlockRecords = 200;

    private readonly LedgerFixture _fixture;
    private readonly AuditSigner _signer;
    private readonly AuditSigner _strange;
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 11, 23, 12, 0, 0, TimeSpan.Zero));
    private Spool _spool = null!;
    private LedgerShipper _shipper = null!;

    private protected ChainWhileRunningTests(StorageProvider provider)
    {
        _fixture = new LedgerFixture(provider);
        _signer = AuditSigner.Open(Path.Combine(_fixture.Spools.Root, "key.pem"));
        _strange = AuditSigner.Open(Path.Combine(_fixture.Spools.Root, "strange.pem"));
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private string Node => _spool.Folder.Node;

    public async ValueTask InitializeAsync()
    {
        _spool = _fixture.Spools.Open(segmentBytes: 2 * 1024 * 1024);
        _shipper = _fixture.ShipSigned(_spool, _signer, _time);
        for (var block = 0; block < 3; block++)
        {
            await AddAsync(BlockRecords);
            _time.Advance(ChainWriter.CheckpointInterval);
        }
    }

    public ValueTask DisposeAsync()
    {
        _fixture.Dispose();
        _signer.Dispose();
        _strange.Dispose();
        GC.SuppressFinalize(this);
        return default;
    }

    [Fact]
    public async Task Append_LastRecordsDeletedMeanwhile_KeepsTheHead()
    {
        await CutAsync();
        await AddAsync(2 * BlockRecords);
        Assert.Contains((await ReportAsync()).Faults, fault => fault.Problem.Contains(".lost-head", StringComparison.Ordinal));
    }

    /// <summary>It has read the head, but added nothing yet.</summary>
    [Fact]
    public async Task Append_LastRecordsDeletedAfterAQuietStart_KeepsTheHead()
    {
        _spool.Dispose();
        _spool = _fixture.Spools.Open(segmentBytes: 2 * 1024 * 1024);
        _shipper = _fixture.ShipSigned(_spool, _signer, _time);
        await LedgerFixture.ShipAllAsync(_shipper);
        await CutAsync();
        await AddAsync(2 * BlockRecords);
        Assert.Contains((await ReportAsync()).Faults, fault => fault.Problem.Contains(".lost-head", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Stop_LastRecordsDeletedMeanwhile_KeepsTheHead()
    {
        // Without a checkpoint, so that the stop makes one.
        await CutAsync(checkpoint: 0);
        await _fixture.ExecuteAsync("DELETE FROM audit_checkpoints");
        await _shipper.StopAsync(Cancel);
        Assert.Contains((await ReportAsync()).Faults, fault => fault.Problem.Contains(".lost-head", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Append_BlocksRemovedByRetentionMeanwhile_GoesOn()
    {
        _time.Advance(TimeSpan.FromDays(100));
        Assert.Equal(3 * BlockRecords, await RetainAsync(_signer));
        // A head within what was removed is as good as one at its end.
        var heads = new ChainHeads(_fixture.Spools.Root);
        heads.Write((heads.Read(Node)! with { Sequence = 1 }).SignedBy(_signer));
        _spool.Dispose();
        _spool = _fixture.Spools.Open(segmentBytes: 2 * 1024 * 1024);
        _shipper = _fixture.ShipSigned(_spool, _signer, _time);
        await AddAsync(5);
        var report = await ReportAsync();
        Assert.Empty(report.Faults);
        Assert.True(report.IsProven);
        Assert.Equal((3L * BlockRecords, 5L), (report.Removed, report.Records));
        Assert.True(report.RemovedUntil < _time.GetUtcNow().AddDays(-99).ToUnixTimeMilliseconds());
    }

    [Fact]
    public async Task Retention_BesideAForgedRange_DoesNotSignIt()
    {
        var row = await BlockAsync(1);
        await _fixture.ExecuteAsync($"DELETE FROM audit_blocks WHERE number = {row.Number}");
        await using (var connection = await _fixture.Storage.OpenAsync(Cancel))
            await new RemovedRange(Node, row.FirstSequence, row.LastSequence, row.PreviousHash, row.Hash, "retention", 1).InsertAsync(connection, Cancel);
        _time.Advance(TimeSpan.FromDays(100));
        Assert.Equal(2 * BlockRecords, await RetainAsync(_signer));
        Assert.Equal(row.FirstSequence, (await ReportAsync()).Faults[0].Sequence);
    }

    [Fact]
    public async Task Remove_BlockWithAForgedRemoval_LeavesItAsItIs()
    {
        var row = await BlockAsync(1);
        var block = AuditBlock.Read(row);
        var builder = new BlockBuilder();
        builder.Begin(Node, row.FirstSequence, row.PreviousHash);
        for (var i = 0; i < block.Count; i++)
        {
            if (i == 5) builder.AddRemoved(block.TimeOf(i), block.KindOf(i), block.ContentHashOf(i), RemovalReason.Erasure);
            else builder.Add(block.CallOf(i)!);
        }
        builder.Number = row.Number;
        await using (var connection = await _fixture.Storage.OpenAsync(Cancel)) await BlockTable.UpdateAsync(connection, builder.ToRow(), Cancel);
        var editor = new BlockEditor(_fixture.Storage, _signer, _time);
        Assert.Equal(0, await editor.RemoveAsync(row.Number, (_, place) => place == 9, RemovalReason.Erasure, Cancel));
        Assert.Equal(row.FirstSequence + 5, (await ReportAsync()).Faults[0].Sequence);
    }

    /// <summary>Not a fault, as other nodes may do that; but nothing proves that it was one of them.</summary>
    [Fact]
    public async Task Verify_RangeRemovedWithAnotherKey_IsNotProven()
    {
        _time.Advance(TimeSpan.FromDays(100));
        Assert.Equal(3 * BlockRecords, await RetainAsync(_strange));
        await AddAsync(1);
        var report = await ReportAsync();
        Assert.Empty(report.Faults);
        Assert.False(report.IsProven);
        Assert.Contains(_strange.KeyId, Assert.Single(report.Notes), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Verify_HeadFileMissing_IsFound()
    {
        Assert.True((await ReportAsync()).IsProven);
        File.Delete(Path.Combine(_fixture.Spools.Root, Node + ".head"));
        Assert.Contains(".head is missing", Assert.Single((await ReportAsync()).Faults).Problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Verify_RecordsAfterTheLastSignature_AreNotProven()
    {
        await using (var connection = await _fixture.Storage.OpenAsync(Cancel))
        await using (var transaction = await _fixture.Storage.Sql.BeginWriteAsync(connection, Cancel))
        {
            await new ChainWriter(null, null, _time).AppendAsync(connection, _fixture.Storage.Sql, Node, [AdminRecord()], Cancel);
            await transaction.CommitAsync(Cancel);
        }
        var report = await ReportAsync();
        Assert.Empty(report.Faults);
        Assert.Equal((report.Last - 1, false), (report.LastProven, report.IsProven));
    }

    [Fact]
    public async Task Verify_IndexWithoutAProperty_IsFound()
    {
        var row = await BlockAsync(1);
        var terms = new TermsBuilder();
        var block = AuditBlock.Read(row);
        for (var i = 0; i < block.Count; i++) terms.Add(block.CallOf(i)!);
        Assert.Equal(row.Terms, terms.ToBytes(block.Terms.Version, block.Terms.Columns));
        await using (var connection = await _fixture.Storage.OpenAsync(Cancel))
            await BlockTable.UpdateAsync(connection, row with { Terms = terms.ToBytes(TermsBuilder.Version, BlockTerms.FirstColumns - 1) }, Cancel);
        Assert.Equal(row.FirstSequence, (await ReportAsync()).Faults[0].Sequence);
    }

    [Fact]
    public async Task Contains_BlockDamaged_IsFalseAndOthersAreFound()
    {
        var (row, other) = (await BlockAsync(1), await BlockAsync(2));
        var (damaged, whole) = (AuditBlock.Read(row).CallOf(3)!, AuditBlock.Read(other).CallOf(3)!);
        await using var connection = await _fixture.Storage.OpenAsync(Cancel);
        Assert.True(await BlockTable.ContainsAsync(connection, damaged, NullLogger.Instance, Cancel));
        await BlockTable.UpdateAsync(connection, row with { Data = [1, 2, 3] }, Cancel);
        Assert.False(await BlockTable.ContainsAsync(connection, damaged, NullLogger.Instance, Cancel));
        Assert.True(await BlockTable.ContainsAsync(connection, whole, NullLogger.Instance, Cancel));
        await BlockTable.UpdateAsync(connection, row with { Terms = [9] }, Cancel);
        Assert.False(await BlockTable.ContainsAsync(connection, damaged, NullLogger.Instance, Cancel));
    }

    [Fact]
    public async Task Contains_RecordOfAdministration_IsFound()
    {
        var record = AdminRecord();
        await using var connection = await _fixture.Storage.OpenAsync(Cancel);
        await using (var transaction = await _fixture.Storage.Sql.BeginWriteAsync(connection, Cancel))
        {
            await new ChainWriter(null, null, _time).AppendAsync(connection, _fixture.Storage.Sql, Node, [record], Cancel);
            await transaction.CommitAsync(Cancel);
        }
        Assert.True(await BlockTable.ContainsAsync(connection, record, NullLogger.Instance, Cancel));
    }

    [Fact]
    public async Task Retention_ChainOfANodeThatRuns_IsLeftToIt()
    {
        const string Other = "node_other";
        await using (var connection = await _fixture.Storage.OpenAsync(Cancel))
        await using (var transaction = await _fixture.Storage.Sql.BeginWriteAsync(connection, Cancel))
        {
            await new ChainWriter(_strange, null, _time).AppendAsync(connection, _fixture.Storage.Sql, Other, [AdminRecord(), AdminRecord()], Cancel);
            await transaction.CommitAsync(Cancel);
        }
        _time.Advance(TimeSpan.FromDays(100));
        var isPostgres = _fixture.Storage.Provider == StorageProvider.Postgres;
        await using (var presence = new NodePresence(_fixture.Storage, TimeProvider.System))
        {
            await presence.HoldAsync(LedgerRetention.PresenceOf(Other), Cancel);
            // With SQLite there is one process, so another node never runs.
            Assert.Equal((3 * BlockRecords) + (isPostgres ? 0 : 2), await RetainAsync(_signer, _spool));
        }
        Assert.Equal(isPostgres ? 2 : 0, await RetainAsync(_signer, _spool));
    }

    private ShippedCall AdminRecord()
    {
        var id = Fairlead.Conversation.Ids.New("aud_", _time);
        return ShippedCall.ReadAdministration(System.Text.Encoding.UTF8.GetBytes(
            $$"""{"id":"{{id}}","at":"{{_time.GetUtcNow():yyyy-MM-ddTHH:mm:ss.fffZ}}","type":"admin","request_id":null,"organization_id":null,"project_id":null,"key_id":null,"actor":{"kind":"server","name":null},"address":null,"action":"key.create","resource":null,"before":null,"after":null,"outcome":"complete","error_code":null,"status":null}"""), 0)!;
    }

    private async Task CutAsync(int checkpoint = BlockRecords)
    {
        var first = await BlockAsync(0);
        await _fixture.ExecuteAsync($"""
            DELETE FROM audit_blocks WHERE first_sequence > 1;
            DELETE FROM audit_checkpoints WHERE sequence > {BlockRecords};
            UPDATE audit_chains SET sequence = {BlockRecords}, hash = {Hex(first.Hash)}, open_block = 0, checkpoint_sequence = {checkpoint}
            """);
    }

    private async Task AddAsync(int records)
    {
        for (var i = 0; i < records; i++)
        {
            var call = RecordedCalls.New(_time, key: $"key_{i % 5}");
            await _spool.AttemptStartedAsync(call, call.Try());
            await _spool.CallEndedAsync(call.End(), 200);
        }
        await LedgerFixture.ShipAllAsync(_shipper);
    }

    private async Task<long> RetainAsync(AuditSigner signer, Spool? spool = null)
    {
        using var retention = new LedgerRetention(
            _fixture.Storage, new FixedConfiguration(_fixture.Database.DataDirectory), _time, NullLogger<LedgerRetention>.Instance, signer, spool);
        return await retention.DeleteAsync(Cancel);
    }

    private async Task<ChainReport> ReportAsync() => Assert.Single(await _fixture.VerifyAsync(_signer.Keys), report => report.Node == Node);

    private async Task<BlockRow> BlockAsync(int index)
    {
        await using var connection = await _fixture.Storage.OpenAsync(Cancel);
        return (await StoredRecords.BlocksAsync(connection, Cancel))[index].Row;
    }

    private string Hex(byte[] bytes) => _fixture.Storage.Provider == StorageProvider.Sqlite
        ? $"X'{Convert.ToHexString(bytes)}'" : $"'\\x{Convert.ToHexString(bytes)}'";
}
