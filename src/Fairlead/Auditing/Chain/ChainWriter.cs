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

    // Where the chains end as far as this process knows: a chain may have grown since, but it still has these records.
    private readonly Dictionary<string, (long Sequence, byte[] Hash)> _known = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ChainState> _ends = new(StringComparer.Ordinal);
    private readonly BlockBuilder _block = new();
    private bool _isOpen;
    private bool _isRegistered;
    private bool _wasRegistered;

    /// <summary>Where what cannot be read is logged.</summary>
    internal ILogger Logger => _logger;

    /// <summary>
    /// Compares the end of the node's chain with its signed head, once in the life of the process. If the database lacks what the head
    /// states, the head is kept for <c>fairlead audit verify</c>, and the chain goes on from what is there.
    /// </summary>
    public async Task CheckHeadAsync(IStorage storage, string node, CancellationToken cancellationToken)
    {
        if (heads is null || _checkedHeads.Contains(node)) return;
        await using var connection = await storage.OpenAsync(cancellationToken);
        await CheckHeadAsync(connection, node, cancellationToken);
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
        await CheckEndAsync(connection, state, cancellationToken);
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
            record.ChainSequence = ++sequence;
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
        await CheckEndAsync(connection, state, cancellationToken);
        if (!HasNews(state)) return;
        state = await AddCheckpointAsync(connection, state, cancellationToken);
        await state.SaveAsync(connection, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        _isRegistered = _wasRegistered;
        _known[node] = (state.Sequence, state.Hash);
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
            _known[state.Node] = (state.Sequence, state.Hash);
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

    private async Task CheckHeadAsync(DbConnection connection, string node, CancellationToken cancellationToken)
    {
        try
        {
            if (heads!.Read(node) is { } head)
            {
                if (await HasAsync(connection, node, head.Sequence, head.Hash, cancellationToken)) _known[node] = (head.Sequence, head.Hash);
                else KeepLost(head);
            }
            _checkedHeads.Add(node);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Records must reach the database all the same. The next batch tries again.
            _logger.HeadUncheckable(e, node);
        }
    }

    // Before anything is signed: whoever changes the database while the server runs must not get a signature for that.
    private async Task CheckEndAsync(DbConnection connection, ChainState state, CancellationToken cancellationToken)
    {
        var node = state.Node;
        if (heads is not null && !_checkedHeads.Contains(node)) await CheckHeadAsync(connection, node, cancellationToken);
        if (!_known.TryGetValue(node, out var known)) return;
        if (known.Sequence == state.Sequence && known.Hash.AsSpan().SequenceEqual(state.Hash)) return;
        if (await HasAsync(connection, node, known.Sequence, known.Hash, cancellationToken)) return;
        var end = new SignedCheckpoint(node, known.Sequence, known.Hash, time.GetUtcNow().ToUnixTimeMilliseconds(), 0);
        try
        {
            KeepLost(signer is null ? end : end.SignedBy(signer));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The head before stays, and with it what it proves.
            _checkedHeads.Remove(node);
            _logger.HeadUncheckable(e, node);
        }
    }

    private void KeepLost(SignedCheckpoint head)
    {
        var path = heads?.KeepLost(head) ?? "memory";
        _known.Remove(head.Node);
        _logger.HeadLost(head.Node, head.Sequence, path);
    }

    /// <summary>Whether the chain has a record with this hash, or had it until it was removed, as a valid statement says.</summary>
    private async Task<bool> HasAsync(
        DbConnection connection, string node, long sequence, byte[] hash, CancellationToken cancellationToken)
    {
        if (await ChainState.FindAsync(connection, node, "", cancellationToken) is not { } state || state.Sequence < sequence) return false;
        if (state.Sequence == sequence) return state.Hash.AsSpan().SequenceEqual(hash);
        if ((await BlockTable.OfChainAsync(connection, node, sequence, 1, cancellationToken)).FirstOrDefault() is not { } row
            || row.FirstSequence > sequence)
        {
            return await RemovedRange.ContainingAsync(connection, node, sequence, cancellationToken) is { } range && range.IsTrusted(signer)
                && (range.LastSequence != sequence || range.Hash.AsSpan().SequenceEqual(hash));
        }
        try
        {
            var block = AuditBlock.Read(row);
            var count = (int)(sequence - row.FirstSequence + 1);
            return ChainHash.Of(row.PreviousHash, block.Links().AsSpan(0, count * ChainHash.LinkBytes)).AsSpan().SequenceEqual(hash);
        }
        catch (BlockFormatException)
        {
            return false;
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
        // A head that could not be compared yet may be all that shows what is missing.
        if (signer is null || heads is null || !_checkedHeads.Contains(state.Node)) return;
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
