using System.Data.Common;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Storage;

namespace Fairlead.Auditing.Chain;

/// <summary>A signed statement: the record of this number has this hash. It covers all records before.</summary>
/// <param name="Node">The node.</param>
/// <param name="Sequence">Number of the record.</param>
/// <param name="Hash">Its hash.</param>
/// <param name="At">When the statement was made, in milliseconds since 1970.</param>
/// <param name="Previous">Number of the checkpoint before; 0 for the first.</param>
internal sealed record SignedCheckpoint(string Node, long Sequence, byte[] Hash, long At, long Previous)
{
    public string KeyId { get; init; } = "";

    public byte[] Signature { get; init; } = [];

    /// <summary>The signed bytes.</summary>
    public byte[] Statement() => Encoding.UTF8.GetBytes(string.Create(
        CultureInfo.InvariantCulture,
        $"fairlead audit checkpoint 1\n{Node}\n{Sequence}\n{Convert.ToHexStringLower(Hash)}\n{At}\n{Previous}"));

    public SignedCheckpoint SignedBy(AuditSigner signer) => this with { KeyId = signer.KeyId, Signature = signer.Sign(Statement()) };

    public Task<int> InsertAsync(DbConnection connection, CancellationToken cancellationToken) => connection.ExecuteAsync(
        """
        INSERT INTO audit_checkpoints (node, sequence, previous, hash, at, key_id, signature)
        VALUES (@node, @sequence, @previous, @hash, @at, @key_id, @signature)
        """,
        [
            ("@node", Node), ("@sequence", Sequence), ("@previous", Previous), ("@hash", Hash), ("@at", At), ("@key_id", KeyId),
            ("@signature", Signature),
        ],
        cancellationToken);

    /// <summary>Those of a node, oldest first.</summary>
    public static Task<List<SignedCheckpoint>> OfChainAsync(
        DbConnection connection, string node, CancellationToken cancellationToken) => connection.QueryAsync(
        """
        SELECT node, sequence, previous, hash, at, key_id, signature FROM audit_checkpoints WHERE node = @node ORDER BY sequence
        """,
        [("@node", node)],
        row => new SignedCheckpoint(row.Text("node"), row.Int64("sequence"), row.Bytes("hash"), row.Int64("at"), row.Int64("previous"))
        {
            KeyId = row.Text("key_id"),
            Signature = row.Bytes("signature"),
        },
        cancellationToken);

    /// <summary>One line of JSON.</summary>
    public string ToJson()
    {
        var at = DateTimeOffset.FromUnixTimeMilliseconds(At).UtcDateTime;
        return new JsonObject
        {
            ["node"] = Node,
            ["sequence"] = Sequence,
            ["hash"] = Convert.ToHexStringLower(Hash),
            ["at"] = at.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture),
            ["previous"] = Previous,
            ["key_id"] = KeyId,
            ["signature"] = Convert.ToBase64String(Signature),
        }.ToJsonString();
    }

    /// <summary>Reads what <see cref="ToJson"/> wrote; null if it is something else.</summary>
    public static SignedCheckpoint? Parse(string json)
    {
        try
        {
            if (JsonNode.Parse(json) is not JsonObject read || read["sequence"] is null) return null;
            var at = DateTimeOffset.Parse((string)read["at"]!, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal);
            return new SignedCheckpoint(
                (string)read["node"]!, (long)read["sequence"]!, Convert.FromHexString((string)read["hash"]!), at.ToUnixTimeMilliseconds(),
                (long)read["previous"]!)
            {
                KeyId = (string)read["key_id"]!,
                Signature = Convert.FromBase64String((string)read["signature"]!),
            };
        }
        catch (Exception e) when (e is JsonException or FormatException or InvalidOperationException or ArgumentException
            or OverflowException or NullReferenceException)
        {
            return null;
        }
    }
}
