using System.Data.Common;
using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Records;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Auditing.Chain;

/// <summary>
/// Adds records to the chains of nodes, each in the transaction of its caller: they get their sequence numbers and hashes there, so a
/// record that is committed is in the chain, and no other. Keeps the last block of a chain in memory while it has few records. For one
/// thread.
/// </summary>
/// <param name="signer">Signs checkpoints and heads; null for a chain without.</param>
/// <param name="heads">Where the signed ends are kept; null for none.</param>
/// <param name="time">The clock.</param>
/// <param name="logger">Logs what cannot be written.</param>
internal sealed class ChainWriter(AuditSigner? signer, ChainHeads? heads, TimeProvider time, ILogger? logger = null)
{
    /// <summary>Records between two checkpoints: about a minute under a saturating load.</summary>
    internal const int CheckpointRecords = 16 * 1024;

    /// <summary>A chain that gets records has a checkpoint of this age at most.</summary>
    internal static readonly TimeSpan CheckpointInterval = TimeSpan.FromMinutes(10);

    private readonly ILogger _logger = logger ?? NullLogger.Instance;
    private readonly HashSet<string> _checkedHeads = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ChainState> _ends = new(StringComparer.Ordinal);
    private readonly BlockBuilder _block = new();
    private bool _isOpen;
    private bool _isRegistered;
    private bool _wasRegistered;

    /// <summary>
    /// Compares the end of the node's chain with its signed head, once in the life of the process. If the database lacks what the head
    /// states, the head is kept for <c>fairlead audit verify</c>, and the chain goes on from what is there.
    /// </summary>
    public async Task CheckHeadAsync(IStorage storage, string node, CancellationToken cancellationToken)
    {
        if (heads is null || _checkedHeads.Contains(node)) return;
        if (heads.Read(node) is { } head)
        {
            await using var connection = await storage.OpenAsync(cancellationToken);
            var found = await HashOfAsync(connection, node, head.Sequence, cancellationToken);
            if (found is null || !found.AsSpan().SequenceEqual(head.Hash))
            {
                var path = heads.KeepLost(head);
                _logger.HeadLost(node, head.Sequence, path);
            }
        }
        _checkedHeads.Add(node);
    }

    /// <summary>Adds records to the end of the node's chain.</summary>
    /// <param name="connection">The connection of a transaction that writes.</param>
    /// <param name="sql">The flavour of its database.</param>
    /// <param name="node">The node.</param>
    /// <param name="records">The records in their order.</param>
    /// <param name="cancellationToken">Stops before the commit.</param>
    public async Task AppendAsync(
        DbConnection connection, SqlFlavour sql, string node, IReadOnlyList<ShippedCall> records, CancellationToken cancellationToken)
    {
        if (records.Count == 0) return;
        var state = await ChainState.LockAsync(connection, sql, node, cancellationToken);
        if (!_isOpen || _block.Node != node || _block.Number != state.OpenBlock || _block.FirstSequence + _block.Count - 1 != state.Sequence)
            _block.Begin(node, state.Sequence + 1, state.Hash);
        // If the transaction fails, the block in memory has records that the database does not have.
        _isOpen = false;

        var (sequence, hash) = (state.Sequence, state.Hash);
        foreach (var record in records)
        {
            if (_block.IsFull)
            {
                hash = await WriteAsync(connection, cancellationToken);
                _block.Begin(node, sequence + 1, hash);
            }
            _block.Add(record);
            sequence++;
        }
        hash = await WriteAsync(connection, cancellationToken);
        state = state with { Sequence = sequence, Hash = hash, OpenBlock = _block.IsOpen ? _block.Number : 0 };
        if (IsCheckpointDue(state)) state = await AddCheckpointAsync(connection, state, cancellationToken);
        await state.SaveAsync(connection, cancellationToken);
        _ends[node] = state;
    }

    /// <summary>Makes a checkpoint at the end of the node's chain, unless there is one.</summary>
    public async Task CheckpointAsync(IStorage storage, string node, CancellationToken cancellationToken)
    {
        if (signer is null) return;
        await using var connection = await storage.OpenAsync(cancellationToken);
        if (await ChainState.FindAsync(connection, node, "", cancellationToken) is not { } known || !HasNews(known)) return;
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var state = await ChainState.LockAsync(connection, storage.Sql, node, cancellationToken);
        if (!HasNews(state)) return;
        state = await AddCheckpointAsync(connection, state, cancellationToken);
        await state.SaveAsync(connection, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        _isRegistered = _wasRegistered;
        WriteHead(state);

        static bool HasNews(ChainState state) => state.Sequence > state.CheckpointSequence;
    }

    /// <summary>The transaction is committed: writes the heads of the chains that it extended.</summary>
    public void Committed()
    {
        _isRegistered = _wasRegistered;
        foreach (var state in _ends.Values)
        {
            _isOpen = state.OpenBlock != 0;
            WriteHead(state);
        }
        _ends.Clear();
    }

    /// <summary>The transaction has ended, committed or not.</summary>
    public void Ended()
    {
        _ends.Clear();
        _wasRegistered = _isRegistered;
    }

    /// <summary>The hash of a record of a chain; null if the database does not have its block.</summary>
    internal static async Task<byte[]?> HashOfAsync(
        DbConnection connection, string node, long sequence, CancellationToken cancellationToken)
    {
        if (await ChainState.FindAsync(connection, node, "", cancellationToken) is not { } state || state.Sequence < sequence) return null;
        if (state.Sequence == sequence) return state.Hash;
        if ((await BlockTable.OfChainAsync(connection, node, sequence, 1, cancellationToken)).FirstOrDefault() is not { } row)
            // It may have been removed since.
            return (await RemovedRange.EndingAtAsync(connection, node, sequence, cancellationToken))?.Hash;
        if (row.FirstSequence > sequence) return null;
        try
        {
            var block = AuditBlock.Read(row);
            var count = (int)(sequence - row.FirstSequence + 1);
            return ChainHash.Of(row.PreviousHash, block.Links().AsSpan(0, count * ChainHash.LinkBytes));
        }
        catch (BlockFormatException)
        {
            return null;
        }
    }

    private bool IsCheckpointDue(ChainState state) => signer is not null
        && (state.Sequence - state.CheckpointSequence >= CheckpointRecords
            || time.GetUtcNow().ToUnixTimeMilliseconds() - state.CheckpointAt >= (long)CheckpointInterval.TotalMilliseconds);

    private async Task<ChainState> AddCheckpointAsync(DbConnection connection, ChainState state, CancellationToken cancellationToken)
    {
        await RegisterKeyAsync(connection, cancellationToken);
        var now = time.GetUtcNow().ToUnixTimeMilliseconds();
        var checkpoint = new SignedCheckpoint(state.Node, state.Sequence, state.Hash, now, state.CheckpointSequence).SignedBy(signer!);
        await checkpoint.InsertAsync(connection, cancellationToken);
        return state with { CheckpointSequence = state.Sequence, CheckpointAt = now };
    }

    private async Task RegisterKeyAsync(DbConnection connection, CancellationToken cancellationToken)
    {
        if (_isRegistered) return;
        await KeyTable.AddAsync(connection, signer!, time.GetUtcNow(), cancellationToken);
        _wasRegistered = true;
    }

    private async Task<byte[]> WriteAsync(DbConnection connection, CancellationToken cancellationToken)
    {
        var row = _block.ToRow();
        if (row.Number == 0) _block.Number = await BlockTable.InsertAsync(connection, row, cancellationToken);
        else await BlockTable.UpdateAsync(connection, row, cancellationToken);
        return row.Hash;
    }

    private void WriteHead(ChainState state)
    {
        if (signer is null || heads is null) return;
        try
        {
            var now = time.GetUtcNow().ToUnixTimeMilliseconds();
            heads.Write(new SignedCheckpoint(state.Node, state.Sequence, state.Hash, now, state.CheckpointSequence).SignedBy(signer));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The head before stays: it is true, too.
            _logger.HeadUnwritable(e);
        }
    }
}
