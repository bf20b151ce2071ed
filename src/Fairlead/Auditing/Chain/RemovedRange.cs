using System.Data.Common;
using System.Globalization;
using System.Text;
using Fairlead.Storage;

namespace Fairlead.Auditing.Chain;

/// <summary>
/// Consecutive records of a chain that were removed with their blocks, with the hashes at both ends, signed: a range that anyone else cut
/// out of the table has no signature.
/// </summary>
internal sealed record RemovedRange(string Node, long FirstSequence, long LastSequence, byte[] PreviousHash, byte[] Hash, string Reason, long At)
{
    private const string Columns = "node, first_sequence, last_sequence, previous_hash, hash, reason, at, last_at, key_id, signature";

    /// <summary>The time of the latest record, in milliseconds since 1970: retention must not remove what is newer than it keeps.</summary>
    public long LastAt { get; init; }

    public string KeyId { get; init; } = "";

    public byte[] Signature { get; init; } = [];

    public byte[] Statement() => Encoding.UTF8.GetBytes(string.Create(
        CultureInfo.InvariantCulture,
        $"fairlead audit removal 1\n{Node}\n{FirstSequence}\n{LastSequence}\n{Convert.ToHexStringLower(PreviousHash)}\n"
        + $"{Convert.ToHexStringLower(Hash)}\n{Reason}\n{At}\n{LastAt}"));

    /// <summary>Whether a key of this machine has signed it; without keys, nothing is signed.</summary>
    public bool IsTrusted(AuditSigner? signer) =>
        signer is null ? Signature.Length == 0 : signer.Keys.Verify(KeyId, Statement(), Signature);

    public RemovedRange SignedBy(AuditSigner signer) => this with { KeyId = signer.KeyId, Signature = signer.Sign(Statement()) };

    public static Task<List<RemovedRange>> OfChainAsync(DbConnection connection, string node, CancellationToken cancellationToken) =>
        connection.QueryAsync(
            $"SELECT {Columns} FROM audit_removed WHERE node = @node ORDER BY first_sequence", [("@node", node)], Read, cancellationToken);

    public static Task<RemovedRange?> EndingAtAsync(
        DbConnection connection, string node, long sequence, CancellationToken cancellationToken) => connection.FirstOrDefaultAsync(
        $"SELECT {Columns} FROM audit_removed WHERE node = @node AND last_sequence = @sequence", [("@node", node), ("@sequence", sequence)],
        Read, cancellationToken);

    public static Task<RemovedRange?> ContainingAsync(
        DbConnection connection, string node, long sequence, CancellationToken cancellationToken) => connection.FirstOrDefaultAsync(
        $"""
        SELECT {Columns} FROM audit_removed WHERE node = @node AND first_sequence <= @sequence AND last_sequence >= @sequence
        ORDER BY first_sequence DESC LIMIT 1
        """,
        [("@node", node), ("@sequence", sequence)], Read, cancellationToken);

    public static Task<RemovedRange?> StartingAtAsync(
        DbConnection connection, string node, long sequence, CancellationToken cancellationToken) => connection.FirstOrDefaultAsync(
        $"SELECT {Columns} FROM audit_removed WHERE node = @node AND first_sequence = @sequence",
        [("@node", node), ("@sequence", sequence)], Read, cancellationToken);

    public Task<int> InsertAsync(DbConnection connection, CancellationToken cancellationToken) => connection.ExecuteAsync(
        $"""
        INSERT INTO audit_removed ({Columns})
        VALUES (@node, @first, @last, @previous_hash, @hash, @reason, @at, @last_at, @key_id, @signature)
        """,
        [
            ("@node", Node), ("@first", FirstSequence), ("@last", LastSequence), ("@previous_hash", PreviousHash), ("@hash", Hash),
            ("@reason", Reason), ("@at", At), ("@last_at", LastAt), ("@key_id", KeyId), ("@signature", Signature),
        ],
        cancellationToken);

    public Task<int> DeleteAsync(DbConnection connection, CancellationToken cancellationToken) => connection.ExecuteAsync(
        "DELETE FROM audit_removed WHERE node = @node AND first_sequence = @first", [("@node", Node), ("@first", FirstSequence)],
        cancellationToken);

    private static RemovedRange Read(SqlRow row) => new(
        row.Text("node"), row.Int64("first_sequence"), row.Int64("last_sequence"), row.Bytes("previous_hash"), row.Bytes("hash"),
        row.Text("reason"), row.Int64("at"))
    {
        LastAt = row.Int64("last_at"),
        KeyId = row.Text("key_id"),
        Signature = row.Bytes("signature"),
    };
}
