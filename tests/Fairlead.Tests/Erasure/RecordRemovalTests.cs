using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Removal;
using Fairlead.Auditing.Spooling;
using Fairlead.Conversation;
using Fairlead.Erasure;
using Fairlead.Storage;
using Fairlead.Tests.Auditing;
using Fairlead.Tests.Auditing.Ledger;
using Fairlead.Tests.Common;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Erasure;

/// <summary>Who removes records from the chain of a node.</summary>
public sealed class RecordRemovalTests : IDisposable
{
    private readonly LedgerFixture _fixture = new(StorageProvider.Sqlite);
    private readonly AuditSigner _signer;
    private readonly Spool _own;
    private readonly Spool _other;

    public RecordRemovalTests()
    {
        _signer = AuditSigner.Open(Path.Combine(_fixture.Spools.Root, "key.pem"));
        _own = _fixture.Spools.Open(segmentBytes: 256 * 1024);
        _other = _fixture.Spools.Open(segmentBytes: 256 * 1024);
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        _own.Dispose();
        _other.Dispose();
        _signer.Dispose();
        _fixture.Dispose();
    }

    /// <summary>A node that only restarts holds no presence, but removes its records itself: only it has the key that its chain is signed with.</summary>
    [Fact]
    public async Task Run_NodeThatRestarts_LeavesItsRecordsToIt()
    {
        await EraseAsync();
        Assert.NotEqual(_own.Folder.Node, _other.Folder.Node);
        Assert.Equal(0, await Removal(_other).RunAsync(null, Cancel));
        Assert.Equal(1, await _fixture.CountAsync("SELECT COUNT(*) FROM erasure_blocks"));

        Assert.Equal(1, await Removal(_own).RunAsync(null, Cancel));
        Assert.Equal(0, await _fixture.CountAsync("SELECT COUNT(*) FROM erasure_blocks"));
        // Its spool has started new files.
        Assert.Equal(0, await _fixture.CountAsync("SELECT COUNT(*) FROM erasure_spools"));
    }

    [Fact]
    public async Task Run_NodeThatIsGoneForLong_RemovesItsRecords()
    {
        await EraseAsync();
        await _fixture.ExecuteAsync("UPDATE audit_chains SET checkpoint_at = 0");
        Assert.Equal(1, await Removal(_other).RunAsync(null, Cancel));
    }

    /// <summary>The process died between the removal and the new files.</summary>
    [Fact]
    public async Task Run_MarkOfAnEarlierProcess_StartsNewFiles()
    {
        await _fixture.ExecuteAsync($"INSERT INTO erasure_spools (node, marks) VALUES ('{_own.Folder.Node}', 3), ('{_other.Folder.Node}', 1)");
        await Removal(_own).RunAsync(null, Cancel);
        Assert.Equal(1, await _fixture.CountAsync("SELECT COUNT(*) FROM erasure_spools"));
    }

    private RecordRemoval Removal(Spool spool) =>
        new(_fixture.Storage, TimeProvider.System, NullLogger<RecordRemoval>.Instance, _signer, spool);

    // One call on the node, which an erasure has found.
    private async Task EraseAsync()
    {
        var shipper = _fixture.ShipSigned(_own, _signer);
        var call = RecordedCalls.New(project: "proj_1", key: "key_1");
        await _own.AttemptStartedAsync(call, call.Try());
        await _own.CallEndedAsync(call.End(), 200);
        await LedgerFixture.ShipAllAsync(shipper);
        var row = new ErasureRow
        {
            Id = Ids.New(ErasureRow.Prefix, TimeProvider.System), Selector = new ErasureSelector(ErasureKind.Key, "key_1", null, null),
            What = ErasureRow.All, CreatedAt = TimeProvider.System.GetUtcNow(),
        };
        await using var connection = await _fixture.Storage.OpenAsync(Cancel);
        await using var transaction = await _fixture.Storage.Sql.BeginWriteAsync(connection, Cancel);
        await ErasureTable.InsertAsync(connection, row, Cancel);
        await connection.ExecuteAsync(
            "INSERT INTO erasure_blocks (erasure_id, block, node) SELECT @id, number, node FROM audit_blocks", [("@id", row.Id)], Cancel);
        await transaction.CommitAsync(Cancel);
    }
}
