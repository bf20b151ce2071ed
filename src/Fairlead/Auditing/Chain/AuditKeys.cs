using System.Security.Cryptography;

namespace Fairlead.Auditing.Chain;

/// <summary>Public keys that a verifier trusts, by their id. Immutable.</summary>
internal sealed class AuditKeys
{
    public static readonly AuditKeys None = new([]);

    private readonly Dictionary<string, byte[]> _keys;

    private AuditKeys(Dictionary<string, byte[]> keys) => _keys = keys;

    public IEnumerable<string> Ids => _keys.Keys;

    public bool Has(string id) => _keys.ContainsKey(id);

    /// <summary>In the format SubjectPublicKeyInfo.</summary>
    public byte[] PublicKeyOf(string id) => _keys[id];

    /// <summary>The id of a key: the first half of the SHA-256 of its public part.</summary>
    public static string IdOf(ReadOnlySpan<byte> publicKey) =>
        "audit-key-" + Convert.ToHexStringLower(SHA256.HashData(publicKey).AsSpan(0, 16));

    /// <summary>All keys of a file with blocks in the format PEM, private or public.</summary>
    /// <exception cref="CryptographicException">A block is not a key.</exception>
    public static AuditKeys Read(string pem)
    {
        var keys = new Dictionary<string, byte[]>(StringComparer.Ordinal);
        foreach (var block in BlocksOf(pem))
        {
            using var key = ECDsa.Create();
            try
            {
                key.ImportFromPem(block);
            }
            catch (ArgumentException fault)
            {
                throw new CryptographicException($"A block of the key file is not a key: {fault.Message}", fault);
            }
            var known = key.ExportSubjectPublicKeyInfo();
            keys[IdOf(known)] = known;
        }
        return new AuditKeys(keys);
    }

    public AuditKeys With(byte[] publicKey) => new(new(_keys, StringComparer.Ordinal) { [IdOf(publicKey)] = publicKey });

    /// <summary>Whether a trusted key has signed the statement.</summary>
    public bool Verify(string id, ReadOnlySpan<byte> statement, ReadOnlySpan<byte> signature)
    {
        if (!_keys.TryGetValue(id, out var known)) return false;
        return Verify(known, statement, signature);
    }

    /// <summary>Whether the key has signed the statement. False too if it is no key.</summary>
    public static bool Verify(byte[] publicKey, ReadOnlySpan<byte> statement, ReadOnlySpan<byte> signature)
    {
        try
        {
            using var key = ECDsa.Create();
            key.ImportSubjectPublicKeyInfo(publicKey, out _);
            return key.VerifyData(statement, signature, HashAlgorithmName.SHA256);
        }
        catch (CryptographicException)
        {
            return false;
        }
    }

    internal static IEnumerable<string> BlocksOf(string pem)
    {
        const string Begin = "-----BEGIN ";
        for (var at = pem.IndexOf(Begin, StringComparison.Ordinal); at >= 0;)
        {
            var next = pem.IndexOf(Begin, at + Begin.Length, StringComparison.Ordinal);
            yield return next < 0 ? pem[at..] : pem[at..next];
            at = next;
        }
    }
}
