using System.Buffers;
using System.IO.Compression;
using System.Security.Cryptography;
using Fairlead.Auditing.Records;
using Fairlead.Catalogue.Stored;
using Fairlead.Configuration;
using Fairlead.Storage;

namespace Fairlead.Auditing.Content;

/// <summary>
/// Compresses content for the database, and encrypts it if the configuration says so; and reads it again. The key ring is that of the
/// secrets of stored providers. Thread-safe.
/// </summary>
/// <param name="storage">The database, which has the key ring unless it is in a folder.</param>
/// <param name="configuration">Whether content is encrypted, and where the ring is; null to encrypt nothing.</param>
internal sealed class ContentSealer(IStorage storage, IConfigurationSource? configuration) : IDisposable
{
    private const string Purpose = "Fairlead.Auditing.Content";

    // Twice as small as at 0, for texts that differ.
    private const int Quality = 3;
    private const int WindowBits = 18;

    /// <summary>More than content can have.</summary>
    private const int MaxBytes = 1024 * 1024;

    private readonly SemaphoreSlim _gate = new(1, 1);
    private SecretBox? _box;

    /// <summary>Makes contents ready for the database.</summary>
    /// <exception cref="CryptographicException">The key ring cannot be used; nothing is stored then.</exception>
    public async Task SealAsync(IReadOnlyList<ShippedCall> calls, CancellationToken cancellationToken)
    {
        foreach (var call in calls)
            call.SealedContent ??= new SealedContent(SHA256.HashData(call.Content!.Value.Span), ContentForm.Compressed, Compress(call.Content.Value.Span));
        if (configuration?.Current.Audit.EncryptContent != true) return;
        await _gate.WaitAsync(cancellationToken);
        try
        {
            _box ??= new SecretBox(configuration);
            await LoadAsync(_box, cancellationToken);
            foreach (var call in calls)
            {
                if (call.SealedContent is not { Form: ContentForm.Compressed } plain) continue;
                call.SealedContent = plain with { Form = ContentForm.Encrypted, Data = _box.Protect(plain.Data, Purpose) };
            }
            // Before what they encrypt: content without its key would be lost.
            await SaveAsync(_box.TakeAdded(), cancellationToken);
        }
        catch
        {
            // It may have keys that are not stored.
            _box?.Dispose();
            _box = null;
            foreach (var call in calls) call.SealedContent = null;
            throw;
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>The content of a row that has data, or why there is none to show.</summary>
    public async Task<(byte[]? Content, ContentProblem Problem)> OpenAsync(ContentRow row, CancellationToken cancellationToken)
    {
        var data = row.Data!;
        if (row.Form == ContentForm.Encrypted)
        {
            var (decrypted, problem) = await DecryptAsync(data, cancellationToken);
            if (decrypted is null) return (null, problem);
            data = decrypted;
        }
        else if (row.Form != ContentForm.Compressed)
        {
            return (null, ContentProblem.Damaged);
        }
        return Decompress(data) is { } content && SHA256.HashData(content).AsSpan().SequenceEqual(row.Hash)
            ? (content, ContentProblem.None) : (null, ContentProblem.Damaged);
    }

    public void Dispose()
    {
        _box?.Dispose();
        _gate.Dispose();
    }

    private async Task<(byte[]? Data, ContentProblem Problem)> DecryptAsync(byte[] data, CancellationToken cancellationToken)
    {
        if (configuration is null) return (null, ContentProblem.KeyMissing);
        await _gate.WaitAsync(cancellationToken);
        try
        {
            _box ??= new SecretBox(configuration);
            // Of most contents the key is known: the ring is read once for many.
            if (!_box.HasKeyOf(data)) await LoadAsync(_box, cancellationToken);
            if (!_box.HasKeyOf(data)) return (null, ContentProblem.KeyMissing);
            return (_box.Unprotect(data, Purpose), ContentProblem.None);
        }
        catch (CryptographicException)
        {
            return (null, ContentProblem.Damaged);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or System.Xml.XmlException or InvalidOperationException)
        {
            return (null, ContentProblem.KeyMissing);
        }
        finally
        {
            _gate.Release();
        }
    }

    private async Task LoadAsync(SecretBox box, CancellationToken cancellationToken)
    {
        if (box.IsInFolder) return;
        await using var connection = await storage.OpenAsync(cancellationToken);
        box.Load(await StoredProviderTable.RingAsync(connection, cancellationToken));
    }

    private async Task SaveAsync((string Name, string Xml)[] added, CancellationToken cancellationToken)
    {
        if (added.Length == 0) return;
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await StoredProviderTable.AddToRingAsync(connection, added, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
    }

    private static byte[] Compress(ReadOnlySpan<byte> content)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(BrotliEncoder.GetMaxCompressedLength(content.Length));
        try
        {
            if (!BrotliEncoder.TryCompress(content, buffer, out var written, Quality, WindowBits))
                throw new InvalidOperationException("The buffer for the compressed content is too small.");
            return buffer.AsSpan(0, written).ToArray();
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer, clearArray: true);
        }
    }

    private static byte[]? Decompress(byte[] data)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(MaxBytes);
        try
        {
            return BrotliDecoder.TryDecompress(data, buffer, out var written) ? buffer.AsSpan(0, written).ToArray() : null;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer, clearArray: true);
        }
    }
}

/// <summary>Why content cannot be shown.</summary>
internal enum ContentProblem
{
    None,

    /// <summary>The key ring does not have its key, or cannot be read.</summary>
    KeyMissing,

    /// <summary>It is not what was recorded.</summary>
    Damaged,

    /// <summary>It is not there, and no statement says why.</summary>
    Missing,

    /// <summary>It was removed.</summary>
    Removed,
}
