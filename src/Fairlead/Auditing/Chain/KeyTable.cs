using System.Data.Common;
using Fairlead.Storage;

namespace Fairlead.Auditing.Chain;

/// <summary>The SQL of <c>audit_keys</c>: public keys that signed something. Being there does not make a key trusted.</summary>
internal static class KeyTable
{
    public static Task<int> AddAsync(
        DbConnection connection, AuditSigner signer, DateTimeOffset now, CancellationToken cancellationToken) => connection.ExecuteAsync(
        "INSERT INTO audit_keys (id, public_key, created_at) VALUES (@id, @public_key, @now) ON CONFLICT (id) DO NOTHING",
        [("@id", signer.KeyId), ("@public_key", signer.PublicKey), ("@now", now)], cancellationToken);

    public static async Task<Dictionary<string, byte[]>> AllAsync(DbConnection connection, CancellationToken cancellationToken)
    {
        var rows = await connection.QueryAsync(
            "SELECT id, public_key FROM audit_keys", [], row => (Id: row.Text("id"), Key: row.Bytes("public_key")), cancellationToken);
        return rows.ToDictionary(row => row.Id, row => row.Key, StringComparer.Ordinal);
    }
}
