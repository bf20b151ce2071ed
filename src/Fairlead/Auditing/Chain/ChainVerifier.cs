using System.Data.Common;
using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Content;
using Fairlead.Storage;

namespace Fairlead.Auditing.Chain;

/// <summary>
/// Proves that the records of each node are complete, unchanged and in their order, and names the first record that is not. Reads one state
/// of the database for each chain, so a server may run meanwhile. For one run.
/// </summary>
/// <param name="storage">The database.</param>
/// <param name="keys">Keys that are trusted.</param>
/// <param name="readHeads">Reads the signed heads of this machine, with their files.</param>
/// <param name="exported">Checkpoints that were kept elsewhere.</param>
/// <param name="local">The nodes of this machine: if one has records, it has a head. Null if that is not known.</param>
/// <param name="contents">Reads recorded contents; null to compare none.</param>
internal sealed class ChainVerifier(
    IStorage storage, AuditKeys keys, Func<IReadOnlyList<(string Path, SignedCheckpoint? Head)>> readHeads,
    IReadOnlyList<SignedCheckpoint> exported, IReadOnlySet<string>? local = null, ContentSealer? contents = null)
{
    /// <summary>
    /// How often a chain that grows at this moment is looked at again: the head of its last records is written a moment after them.
    /// </summary>
    private const int MaxTries = 20;

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);

    private Dictionary<string, byte[]> _registered = [];
    private IReadOnlyList<(string Path, SignedCheckpoint? Head)> _heads = [];

    /// <param name="from">Only records from this time on, in milliseconds since 1970; null for all.</param>
    /// <param name="cancellationToken">Stops the run.</param>
    public async Task<IReadOnlyList<ChainReport>> RunAsync(long? from, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        var reports = new List<ChainReport>();
        _heads = readHeads();
        foreach (var node in await NodesAsync(connection, cancellationToken))
        {
            // One for each chain: a long read keeps SQLite from shortening its log.
            await using var transaction = await BeginSettledAsync(connection, node, cancellationToken);
            _registered = await KeyTable.AllAsync(connection, cancellationToken);
            reports.Add(await VerifyAsync(connection, node, from, cancellationToken));
        }
        return reports;
    }

    // A state of the database of which the head covers all records, if there is one. Heads come first, as the database may only be longer.
    private async Task<DbTransaction> BeginSettledAsync(DbConnection connection, string node, CancellationToken cancellationToken)
    {
        for (var tries = 1; ; tries++)
        {
            _heads = readHeads();
            var transaction = await connection.BeginSnapshotAsync(cancellationToken);
            try
            {
                var head = _heads.Where(known => known.Head?.Node == node).Max(known => (long?)known.Head!.Sequence);
                var state = await ChainState.FindAsync(connection, node, "", cancellationToken);
                if (tries == MaxTries || head is null || state is null || state.Sequence <= head) return transaction;
            }
            catch
            {
                await transaction.DisposeAsync();
                throw;
            }
            await transaction.DisposeAsync();
            await Task.Delay(Pause, TimeProvider.System, cancellationToken);
        }
    }

    private async Task<SortedSet<string>> NodesAsync(DbConnection connection, CancellationToken cancellationToken)
    {
        var nodes = new SortedSet<string>(StringComparer.Ordinal);
        nodes.UnionWith(await connection.QueryAsync(
            """
            SELECT node FROM audit_chains UNION SELECT node FROM audit_blocks UNION SELECT node FROM audit_removed
            UNION SELECT node FROM audit_checkpoints
            """,
            [], row => row.Text("node"), cancellationToken));
        nodes.UnionWith(_heads.Where(head => head.Head is not null).Select(head => head.Head!.Node));
        nodes.UnionWith(exported.Select(checkpoint => checkpoint.Node));
        return nodes;
    }

    private async Task<ChainReport> VerifyAsync(DbConnection connection, string node, long? from, CancellationToken cancellationToken)
    {
        var report = new ChainReport(node);
        var state = await ChainState.FindAsync(connection, node, "", cancellationToken);
        var proofs = await ProofsAsync(connection, node, state, report, cancellationToken);
        var start = from is null ? null : await StartAsync(connection, node, from.Value, cancellationToken);
        var verifier = contents is null ? null : new ContentVerifier(connection, node, contents, report, CheckRemoval);
        var walk = new ChainWalk(connection, node, report, proofs, CheckRemoval, verifier);
        await walk.RunAsync(start, cancellationToken);

        if (local?.Contains(node) == true && report.Last > 0 && !_heads.Any(head => head.Head?.Node == node))
            report.Fault(null, $"the signed head {node}.head is missing: the last records may be, too");
        if (state is null)
        {
            if (walk.Next > 1) report.Fault(null, "the row with the end of the chain is missing");
        }
        else if (state.Sequence > walk.Next - 1)
        {
            report.Fault(walk.Next, $"and all up to {state.Sequence} are missing at the end of the chain");
        }
        else if (state.Sequence < walk.Next - 1 || !state.Hash.AsSpan().SequenceEqual(walk.Hash))
        {
            report.Fault(null, "the row with the end of the chain does not fit its last record");
        }
        foreach (var proof in proofs.Where(proof => proof.Statement.Sequence >= walk.Next).OrderBy(proof => proof.Statement.Sequence))
        {
            report.Fault(walk.Next, $"and all up to {proof.Statement.Sequence} are missing at the end of the chain: {proof.Source} states that they "
                + "were there");
        }
        return report;

        string? CheckRemoval(ChainWalk.Removal removal) => Check(removal.KeyId, removal.Statement, removal.Signature, report);
    }

    // Where records from a time on start.
    private static async Task<BlockRow?> StartAsync(DbConnection connection, string node, long from, CancellationToken cancellationToken)
    {
        var number = await connection.Int64Async(
            "SELECT number FROM audit_blocks WHERE node = @node AND last_at >= @from ORDER BY first_sequence LIMIT 1",
            [("@node", node), ("@from", from)], cancellationToken);
        return number is { } found ? await BlockTable.FindAsync(connection, found, "", cancellationToken) : null;
    }

    private async Task<List<ChainProof>> ProofsAsync(
        DbConnection connection, string node, ChainState? state, ChainReport report, CancellationToken cancellationToken)
    {
        var proofs = new List<ChainProof>();
        var previous = 0L;
        var checkpoints = await SignedCheckpoint.OfChainAsync(connection, node, cancellationToken);
        foreach (var checkpoint in checkpoints)
        {
            if (checkpoint.Previous != previous)
                report.Fault(null, $"a checkpoint between records {previous} and {checkpoint.Sequence} was deleted, added or changed");
            previous = checkpoint.Sequence;
            Add("the checkpoint", checkpoint);
        }
        if (state is not null && state.CheckpointSequence != previous)
            report.Fault(null, $"the checkpoint at record {state.CheckpointSequence} is missing");
        foreach (var (path, head) in _heads)
        {
            if (head is null || head.Node != node) continue;
            // Whatever this machine has written itself, it has signed with a key that it knows.
            var source = $"the signed head {Path.GetFileName(path)}";
            if (keys.Has(head.KeyId)) Add(source, head);
            else report.Fault(null, $"{source} at record {head.Sequence} is signed with {head.KeyId}, which is not a key of this machine");
            if (head.Previous > 0 && !checkpoints.Exists(checkpoint => checkpoint.Sequence == head.Previous))
                report.Fault(null, $"the checkpoint at record {head.Previous} is missing");
        }
        foreach (var checkpoint in exported.Where(checkpoint => checkpoint.Node == node)) Add("the exported checkpoint", checkpoint);
        return proofs;

        void Add(string source, SignedCheckpoint statement)
        {
            if (Check(statement.KeyId, statement.Statement(), statement.Signature, report) is { } problem)
                report.Fault(null, $"{source} at record {statement.Sequence} {problem}");
            else
                proofs.Add(new ChainProof(source, statement, keys.Has(statement.KeyId)));
        }
    }

    /// <summary>What is wrong with a signature; null if nothing is, or if it is the valid one of another key, which is noted.</summary>
    private string? Check(string keyId, byte[] statement, byte[] signature, ChainReport report)
    {
        if (keys.Has(keyId)) return keys.Verify(keyId, statement, signature) ? null : "was changed or forged: its signature is not valid";
        if (!_registered.TryGetValue(keyId, out var known) || AuditKeys.IdOf(known) != keyId || !AuditKeys.Verify(known, statement, signature))
            return "was changed or forged: its signature is not valid";
        report.Notes.Add($"a checkpoint or removal is signed with {keyId}, which this machine does not know: "
            + "verify it where that key is, or add its public key to the key file");
        return null;
    }
}
