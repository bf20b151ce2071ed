using System.Text;
using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Records;
using Fairlead.Auditing.Spooling;
using Fairlead.Storage;
using Fairlead.Tests.Auditing.Ledger;
using Fairlead.Tests.Auditing.Spooling;
using Fairlead.Tests.Common;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Auditing.Chain;

public sealed class SqliteChainTamperingTests() : ChainTamperingTests(StorageProvider.Sqlite);

public sealed class PostgresChainTamperingTests() : ChainTamperingTests(StorageProvider.Postgres);

/// <summary>Whoever changes the database without the key is found, whatever else of it they make fit.</summary>
public abstract class ChainTamperingTests : IAsyncLifetime
{
    /// <summary>Records of each of the three blocks.</summary>
    private const int BlockRecords = 200;

    private const int Records = 3 * BlockRecords;

    private readonly LedgerFixture _fixture;
    private readonly AuditSigner _signer;
    private readonly AuditSigner _strange;
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 11, 23, 12, 0, 0, TimeSpan.Zero));
    private Spool _spool = null!;
    private LedgerShipper _shipper = null!;

    private protected ChainTamperingTests(StorageProvider provider)
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
            // Older than a checkpoint may be, so each batch gets one.
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
    public async Task Verify_NothingChanged_ProvesEverything()
    {
        var report = Assert.Single(await VerifyAsync());
        Assert.Empty(report.Faults);
        Assert.Equal((1L, (long)Records, (long)Records, 0L), (report.First, report.Last, report.Records, report.Removed));
        // Three checkpoints and the head.
        Assert.Equal(4, report.Proofs);
        Assert.Empty(report.Notes);
    }

    [Fact]
    public async Task Verify_FromATime_ChecksOnlyLaterBlocks()
    {
        await ChangeDataAsync(0, data => data[^5] ^= 1);
        var report = Assert.Single(await _fixture.VerifyAsync(_signer.Keys, from: _time.GetUtcNow().AddMinutes(-25).ToUnixTimeMilliseconds()));
        Assert.Empty(report.Faults);
        Assert.Equal(BlockRecords + 1, report.First);
    }

    /// <summary>Any byte of any column of a block that a search or a reader uses.</summary>
    [Fact]
    public async Task Verify_AnyByteOfABlockChanged_IsFound()
    {
        var random = new Random(20261201);
        var original = await BlockAsync(1);
        for (var i = 0; i < 60; i++)
        {
            var (data, terms) = ((byte[])original.Data.Clone(), (byte[])original.Terms.Clone());
            var changed = i % 3 == 0 ? terms : data;
            changed[random.Next(changed.Length)] ^= (byte)(1 << random.Next(8));
            await UpdateAsync(original with { Data = data, Terms = terms });
            var faults = await FaultsAsync();
            Assert.InRange(faults[0].Sequence ?? 0, BlockRecords + 1, 2 * BlockRecords);
        }
        await UpdateAsync(original);
        Assert.Empty(await FaultsAsync());
    }

    /// <summary>The whole row fits the changed record; only the content hash that was recorded does not.</summary>
    [Fact]
    public async Task Verify_CharacterOfARecordChanged_NamesTheRecord()
    {
        await RewriteAsync(1, (calls, _) => calls[7] = Changed(calls[7]), keepChecks: true);
        Assert.Equal(BlockRecords + 8, (await FaultsAsync())[0].Sequence);
    }

    /// <summary>The block has been written again as the server does it, with all its hashes.</summary>
    [Fact]
    public async Task Verify_RecordChangedAndBlockHashedAgain_IsFoundByTheNextBlock()
    {
        await RewriteAsync(1, (calls, _) => calls[7] = Changed(calls[7]));
        var faults = await FaultsAsync();
        Assert.Contains(faults, fault => fault.Sequence == (2 * BlockRecords) + 1);
    }

    /// <summary>Everything after it has been hashed again, too: only what is signed is not theirs.</summary>
    [Fact]
    public async Task Verify_WholeChainHashedAgain_IsFoundByTheCheckpoint()
    {
        var first = await RewriteAsync(1, (calls, _) => calls[7] = Changed(calls[7]));
        var second = await RewriteAsync(2, (_, _) => { }, first.Hash);
        await _fixture.ExecuteAsync($"UPDATE audit_chains SET hash = {Hex(second.Hash)}");
        var faults = await FaultsAsync();
        Assert.Equal(2 * BlockRecords, faults[0].Sequence);
        Assert.Contains("the checkpoint was signed", faults[0].Problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Verify_RecordDeleted_IsFound()
    {
        await RewriteAsync(1, (calls, _) => calls.RemoveAt(50));
        // The block is shorter now, so the next one does not follow.
        Assert.Equal(2 * BlockRecords, (await FaultsAsync())[0].Sequence);
    }

    [Fact]
    public async Task Verify_RecordDeletedAndAnotherRepeated_IsFound()
    {
        await RewriteAsync(1, (calls, _) => calls[50] = calls[49]);
        Assert.NotEmpty(await FaultsAsync());
    }

    [Fact]
    public async Task Verify_TwoRecordsSwapped_IsFound()
    {
        await RewriteAsync(1, (calls, _) => (calls[3], calls[4]) = (calls[4], calls[3]), keepChecks: true);
        Assert.Equal(BlockRecords + 4, (await FaultsAsync())[0].Sequence);
    }

    [Fact]
    public async Task Verify_RecordInserted_IsFound()
    {
        await RewriteAsync(1, (calls, _) => calls.Insert(10, Changed(calls[10])));
        Assert.NotEmpty(await FaultsAsync());
    }

    [Fact]
    public async Task Verify_LastRecordsDeleted_IsFoundByTheHead()
    {
        var cut = await RewriteAsync(2, (calls, _) => calls.RemoveRange(BlockRecords - 30, 30));
        await _fixture.ExecuteAsync($"UPDATE audit_chains SET hash = {Hex(cut.Hash)}, sequence = {Records - 30}, checkpoint_sequence = {2 * BlockRecords}");
        await _fixture.ExecuteAsync($"DELETE FROM audit_checkpoints WHERE sequence = {Records}");
        var faults = await FaultsAsync();
        Assert.Contains(faults, fault => fault.Sequence == Records - 29 && fault.Problem.Contains(".head", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Verify_BlockDeleted_NamesItsFirstRecord(int block)
    {
        await _fixture.ExecuteAsync($"DELETE FROM audit_blocks WHERE first_sequence = {(block * BlockRecords) + 1}");
        Assert.Equal((block * BlockRecords) + 1, (await FaultsAsync())[0].Sequence);
    }

    [Fact]
    public async Task Verify_BlockDeletedAndDeclaredRemoved_IsFound()
    {
        var row = await BlockAsync(1);
        foreach (var signer in (AuditSigner?[])[null, _strange])
        {
            await _fixture.ExecuteAsync($"DELETE FROM audit_blocks WHERE number = {row.Number}");
            var range = new RemovedRange(Node, row.FirstSequence, row.LastSequence, row.PreviousHash, row.Hash, "retention", 1);
            await using var connection = await _fixture.Storage.OpenAsync(Cancel);
            if (signer is not null) await KeyTable.AddAsync(connection, signer, _time.GetUtcNow(), Cancel);
            await (signer is null ? range : range.SignedBy(signer)).InsertAsync(connection, Cancel);
            var report = Assert.Single(await VerifyAsync());
            // The key of somebody else may be that of another node, so it is no fault, but no proof either.
            Assert.False(report.IsProven);
            if (signer is null) Assert.Equal(BlockRecords + 1, report.Faults[0].Sequence);
            await _fixture.ExecuteAsync("DELETE FROM audit_removed");
        }
    }

    [Fact]
    public async Task Verify_RecordDeclaredErased_IsFound()
    {
        var row = await BlockAsync(1);
        var builder = new BlockBuilder();
        builder.Begin(Node, row.FirstSequence, row.PreviousHash);
        var block = AuditBlock.Read(row);
        for (var i = 0; i < block.Count; i++)
        {
            if (i == 5) builder.AddRemoved(block.TimeOf(i), block.KindOf(i), block.ContentHashOf(i), RemovalReason.Erasure);
            else builder.Add(block.CallOf(i)!);
        }
        builder.Number = row.Number;
        var edited = builder.ToRow();
        // The chain is as before; without the key, there is no statement about it.
        Assert.Equal(row.Hash, edited.Hash);
        foreach (var removal in (string?[])[null, BlockRemoval.Sign(AuditBlock.Read(edited), _strange, _time.GetUtcNow())])
        {
            await UpdateAsync(edited with { Removal = removal });
            Assert.Equal(BlockRecords + 6, (await FaultsAsync())[0].Sequence);
        }
    }

    [Fact]
    public async Task Verify_BlocksSwapped_IsFound()
    {
        await _fixture.ExecuteAsync($"""
            UPDATE audit_blocks SET first_sequence = 900001 WHERE first_sequence = 1;
            UPDATE audit_blocks SET first_sequence = 1 WHERE first_sequence = {BlockRecords + 1};
            UPDATE audit_blocks SET first_sequence = {BlockRecords + 1} WHERE first_sequence = 900001
            """);
        Assert.Equal(1, (await FaultsAsync())[0].Sequence);
    }

    [Fact]
    public async Task Verify_BlockInserted_IsFound()
    {
        var row = await BlockAsync(1);
        await using (var connection = await _fixture.Storage.OpenAsync(Cancel))
            await BlockTable.InsertAsync(connection, row with { FirstSequence = row.FirstSequence + 10, Records = row.Records }, Cancel);
        Assert.NotEmpty(await FaultsAsync());
    }

    [Fact]
    public async Task Verify_BlockAddedAtTheEnd_IsFound()
    {
        var last = await BlockAsync(2);
        var builder = new BlockBuilder();
        builder.Begin(Node, Records + 1, last.Hash);
        builder.Add(Changed(AuditBlock.Read(last).CallOf(0)!));
        await using (var connection = await _fixture.Storage.OpenAsync(Cancel)) await BlockTable.InsertAsync(connection, builder.ToRow(), Cancel);
        Assert.NotEmpty(await FaultsAsync());
    }

    [Theory]
    [InlineData("hash")]
    [InlineData("signature")]
    [InlineData("at")]
    [InlineData("sequence")]
    public async Task Verify_CheckpointChanged_IsFound(string column)
    {
        await _fixture.ExecuteAsync(
            $"UPDATE audit_checkpoints SET {column} = {(column is "hash" or "signature" ? Hex(new byte[64]) : $"{column} - 1")} WHERE sequence = {2 * BlockRecords}");
        Assert.NotEmpty(await FaultsAsync());
    }

    /// <summary>Someone makes a key of their own, and a checkpoint that fits what they have changed.</summary>
    [Fact]
    public async Task Verify_CheckpointForgedWithAnotherKey_IsFound()
    {
        var checkpoints = await CheckpointsAsync();
        await using var connection = await _fixture.Storage.OpenAsync(Cancel);
        await KeyTable.AddAsync(connection, _strange, _time.GetUtcNow(), Cancel);
        await _fixture.ExecuteAsync($"DELETE FROM audit_checkpoints WHERE sequence = {2 * BlockRecords}");
        await checkpoints[1].SignedBy(_strange).InsertAsync(connection, Cancel);
        var report = Assert.Single(await VerifyAsync());
        Assert.False(report.IsProven);
        Assert.Contains(_strange.KeyId, Assert.Single(report.Notes), StringComparison.Ordinal);
        // Its statement still has to be true.
        await _fixture.ExecuteAsync($"DELETE FROM audit_checkpoints WHERE sequence = {2 * BlockRecords}");
        await (checkpoints[1] with { Hash = checkpoints[0].Hash }).SignedBy(_strange).InsertAsync(connection, Cancel);
        Assert.NotEmpty(await FaultsAsync());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Verify_CheckpointDeleted_IsFound(int checkpoint)
    {
        await _fixture.ExecuteAsync($"DELETE FROM audit_checkpoints WHERE sequence = {(checkpoint + 1) * BlockRecords}");
        Assert.NotEmpty(await FaultsAsync());
    }

    [Fact]
    public async Task Verify_HeadForged_IsFound()
    {
        var heads = new ChainHeads(_fixture.Spools.Root);
        var head = heads.Read(Node)!;
        heads.Write(head with { Sequence = 5 });
        Assert.Contains("signature", Assert.Single(await FaultsAsync()).Problem, StringComparison.Ordinal);
        heads.Write(head.SignedBy(_strange));
        Assert.NotEmpty(await FaultsAsync());
    }

    [Fact]
    public async Task Verify_EverythingDeleted_IsFoundByTheHead()
    {
        await _fixture.ExecuteAsync("DELETE FROM audit_blocks; DELETE FROM audit_checkpoints; DELETE FROM audit_chains; DELETE FROM audit_keys");
        Assert.Equal(1, (await FaultsAsync())[0].Sequence);
    }

    /// <summary>An older copy of the tables, and the server goes on from it: the head of before is kept and still says what is missing.</summary>
    [Fact]
    public async Task Verify_OlderCopyRestoredAndServerGoesOn_IsFound()
    {
        var first = await BlockAsync(0);
        await _fixture.ExecuteAsync($"""
            DELETE FROM audit_blocks WHERE first_sequence > 1;
            DELETE FROM audit_checkpoints WHERE sequence > {BlockRecords};
            UPDATE audit_chains SET sequence = {BlockRecords}, hash = {Hex(first.Hash)}, open_block = 0, checkpoint_sequence = {BlockRecords}
            """);
        Assert.Equal(BlockRecords + 1, (await FaultsAsync())[0].Sequence);
        _spool.Dispose();
        _spool = _fixture.Spools.Open(segmentBytes: 2 * 1024 * 1024);
        _shipper = _fixture.ShipSigned(_spool, _signer, _time);
        await AddAsync(2 * BlockRecords);
        Assert.Contains(await FaultsAsync(), fault => fault.Problem.Contains(".lost-head", StringComparison.Ordinal));
    }

    /// <summary>Whoever has the key and the database can write everything again; a checkpoint that is kept elsewhere says so.</summary>
    [Fact]
    public async Task Verify_EverythingWrittenAgainWithTheKey_IsFoundByExportedCheckpoint()
    {
        var exported = await CheckpointsAsync();
        await _fixture.ExecuteAsync("DELETE FROM audit_blocks; DELETE FROM audit_checkpoints; DELETE FROM audit_chains");
        File.Delete(Path.Combine(_fixture.Spools.Root, Node + ".head"));
        _spool.Dispose();
        _spool = _fixture.Spools.Open(segmentBytes: 2 * 1024 * 1024);
        _shipper = _fixture.ShipSigned(_spool, _signer, _time);
        await AddAsync(Records);
        Assert.Empty(await FaultsAsync());
        var report = Assert.Single(await _fixture.VerifyAsync(_signer.Keys, exported));
        Assert.Contains(report.Faults, fault => fault.Problem.Contains("exported checkpoint", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Verify_AfterRetention_IsWholeAndCountsWhatWasRemoved()
    {
        var start = _time.GetUtcNow();
        _time.Advance(TimeSpan.FromDays(90) - ChainWriter.CheckpointInterval - TimeSpan.FromMinutes(1));
        using var retention = new LedgerRetention(
            _fixture.Storage, new Fairlead.Tests.Storage.FixedConfiguration(_fixture.Database.DataDirectory), _time, NullLogger<LedgerRetention>.Instance, _signer);
        Assert.True(_time.GetUtcNow() > start);
        Assert.Equal(2 * BlockRecords, await retention.DeleteAsync(Cancel));
        var report = Assert.Single(await VerifyAsync());
        Assert.Empty(report.Faults);
        Assert.Equal((2L * BlockRecords, (long)BlockRecords), (report.Removed, report.Records));
        await using var connection = await _fixture.Storage.OpenAsync(Cancel);
        // Two blocks that followed each other are one range.
        var range = Assert.Single(await RemovedRange.OfChainAsync(connection, Node, Cancel));
        Assert.Equal((1L, 2L * BlockRecords), (range.FirstSequence, range.LastSequence));

        await _fixture.ExecuteAsync("UPDATE audit_removed SET last_sequence = last_sequence + 1");
        Assert.NotEmpty(await FaultsAsync());
    }

    [Fact]
    public async Task Remove_SomeRecords_KeepsTheChainAndTheirLinks()
    {
        var row = await BlockAsync(1);
        var editor = new BlockEditor(_fixture.Storage, _signer, _time);
        Assert.Equal(10, await editor.RemoveAsync(row.Number, (_, place) => place % 20 == 3, RemovalReason.Erasure, Cancel));
        Assert.Equal(1, await editor.RemoveAsync(row.Number, (_, place) => place == 4, RemovalReason.Erasure, Cancel));
        Assert.Equal(0, await editor.RemoveAsync(row.Number, (_, place) => place == 4, RemovalReason.Erasure, Cancel));
        var report = Assert.Single(await VerifyAsync());
        Assert.Empty(report.Faults);
        Assert.Equal((11L, (long)Records - 11), (report.Removed, report.Records));
        Assert.Equal(Records - 11, await _fixture.CountAsync("SELECT COUNT(*) FROM audit_records"));
        Assert.DoesNotContain((await new AuditReader(_fixture.Storage).ReadAsync(new AuditQuery { Limit = 500 }, Cancel)).Records, record => record.Json.IsEmpty);
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

    private Task<IReadOnlyList<ChainReport>> VerifyAsync() => _fixture.VerifyAsync(_signer.Keys);

    private async Task<IReadOnlyList<ChainFault>> FaultsAsync() => Assert.Single(await VerifyAsync()).Faults;

    private async Task<BlockRow> BlockAsync(int index)
    {
        await using var connection = await _fixture.Storage.OpenAsync(Cancel);
        return (await StoredRecords.BlocksAsync(connection, Cancel))[index].Row;
    }

    private async Task<List<SignedCheckpoint>> CheckpointsAsync()
    {
        await using var connection = await _fixture.Storage.OpenAsync(Cancel);
        return await SignedCheckpoint.OfChainAsync(connection, Node, Cancel);
    }

    private async Task UpdateAsync(BlockRow row)
    {
        await using var connection = await _fixture.Storage.OpenAsync(Cancel);
        await BlockTable.UpdateAsync(connection, row, Cancel);
    }

    private async Task ChangeDataAsync(int index, Action<byte[]> change)
    {
        var row = await BlockAsync(index);
        var data = (byte[])row.Data.Clone();
        change(data);
        await UpdateAsync(row with { Data = data });
    }

    /// <summary>Writes a block again with other records, as the server would.</summary>
    /// <param name="index">Which block.</param>
    /// <param name="change">Changes the records.</param>
    /// <param name="previous">The hash before it, if it is another now.</param>
    /// <param name="keepChecks">Whether the hashes stay those of the original.</param>
    private async Task<BlockRow> RewriteAsync(
        int index, Action<List<ShippedCall>, AuditBlock> change, byte[]? previous = null, bool keepChecks = false)
    {
        var row = await BlockAsync(index);
        var block = AuditBlock.Read(row);
        var calls = Enumerable.Range(0, block.Count).Select(i => block.CallOf(i)!).ToList();
        change(calls, block);
        var builder = new BlockBuilder();
        builder.Begin(Node, row.FirstSequence, previous ?? row.PreviousHash);
        foreach (var call in calls) builder.Add(call);
        builder.Number = row.Number;
        var written = builder.ToRow();
        if (keepChecks)
        {
            // Only the records are others: what the block says of their hashes is as before.
            var data = (byte[])written.Data.Clone();
            // Backwards, so that of two that were swapped the right one is found.
            for (var i = block.Count - 1; i >= 0; i--)
            {
                var old = block.ContentHashOf(i).AsSpan(0, 4);
                var made = AuditBlock.Read(written).ContentHashOf(i).AsSpan(0, 4);
                if (!old.SequenceEqual(made)) old.CopyTo(data.AsSpan(data.AsSpan().IndexOf(made)));
            }
            written = written with { Data = data, Hash = row.Hash, Terms = written.Terms };
        }
        await using var connection = await _fixture.Storage.OpenAsync(Cancel);
        if (previous is not null)
        {
            await connection.ExecuteAsync(
                "UPDATE audit_blocks SET previous_hash = @hash WHERE number = @number", [("@hash", previous), ("@number", row.Number)], Cancel);
        }
        await BlockTable.UpdateAsync(connection, written, Cancel);
        return written;
    }

    // Another outcome.
    private static ShippedCall Changed(ShippedCall call)
    {
        var text = Encoding.UTF8.GetString(call.Record.Span).Replace("\"outcome\":\"complete\",\"error_code\":null,\"status\"", "\"outcome\":\"cancelled\",\"error_code\":null,\"status\"", StringComparison.Ordinal);
        return ShippedCall.Read(Encoding.UTF8.GetBytes(text), call.Sequence)!;
    }

    private string Hex(byte[] bytes) => _fixture.Storage.Provider == StorageProvider.Sqlite
        ? $"X'{Convert.ToHexString(bytes)}'" : $"'\\x{Convert.ToHexString(bytes)}'";
}
