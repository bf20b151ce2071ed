using System.Security.Cryptography;
using System.Text;

namespace Fairlead.Auditing.Chain;

/// <summary>
/// The key that signs checkpoints, removals and the heads of chains: ECDSA P-256, in a file of the data folder that only its owner can
/// read. A verifier needs the public part only, so it cannot forge what it checks. The file may contain further public keys, which are
/// trusted too: earlier ones, and those of other nodes. Thread-safe.
/// </summary>
internal sealed class AuditSigner : IDisposable
{
    public const string FileName = "audit-key.pem";

    private readonly Lock _gate = new();
    private readonly ECDsa _key;

    private AuditSigner(ECDsa key, AuditKeys keys)
    {
        _key = key;
        PublicKey = key.ExportSubjectPublicKeyInfo();
        KeyId = AuditKeys.IdOf(PublicKey);
        Keys = keys;
    }

    public string KeyId { get; }

    /// <summary>In the format SubjectPublicKeyInfo.</summary>
    public byte[] PublicKey { get; }

    /// <summary>All keys of the file.</summary>
    public AuditKeys Keys { get; }

    /// <summary>Reads the file; creates it with a new key if it does not exist.</summary>
    /// <exception cref="IOException">The file cannot be read or written.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be read or written.</exception>
    /// <exception cref="CryptographicException">The file has no private key of the curve P-256.</exception>
    public static AuditSigner Open(string path)
    {
        if (!File.Exists(path)) Create(path);
        var text = File.ReadAllText(path);
        var key = ECDsa.Create();
        try
        {
            foreach (var block in AuditKeys.BlocksOf(text))
            {
                if (!block.Contains("PRIVATE KEY", StringComparison.Ordinal)) continue;
                key.ImportFromPem(block);
                if (key.KeySize != 256) break;
                return new AuditSigner(key, AuditKeys.Read(text));
            }
            throw new CryptographicException("It has no private key of the curve P-256.");
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            key.Dispose();
            throw new CryptographicException(
                $"The key of the audit in '{path}' cannot be used: {e.Message} Restore the file, or move it away and let the server create another; "
                + "what the old key signed is then not proven any more.", e);
        }
    }

    public byte[] Sign(ReadOnlySpan<byte> statement)
    {
        lock (_gate) return _key.SignData(statement, HashAlgorithmName.SHA256);
    }

    public void Dispose() => _key.Dispose();

    private static void Create(string path)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        if (Path.GetDirectoryName(path) is { Length: > 0 } folder) Spooling.SpoolFolder.CreatePrivate(folder);
        // Under another name first: a process that is killed here must not leave half a key.
        var temporary = path + "." + Path.GetRandomFileName();
        using (var file = File.Open(temporary, options))
        {
            file.Write(Encoding.ASCII.GetBytes(key.ExportPkcs8PrivateKeyPem() + "\n"));
            file.Flush(flushToDisk: true);
        }
        try
        {
            File.Move(temporary, path, overwrite: false);
        }
        catch (IOException) when (File.Exists(path))
        {
            // Another process was faster: its key counts.
            File.Delete(temporary);
        }
    }
}
