namespace Fairlead.Files;

/// <summary>
/// Space for the content of one file within its project's quota. It is reserved at the start and grows before more bytes are written, so
/// concurrent uploads share the quota, and what one of them holds is visible to all. Not thread-safe.
/// </summary>
/// <param name="store">The store that counts.</param>
/// <param name="file">The file that is written.</param>
/// <param name="maxProjectBytes">All files of the project together; null where the content is counted but never refused.</param>
/// <param name="expectedBytes">Length of the whole content if known. It need not be exact.</param>
/// <param name="time">Clock of the process.</param>
internal sealed class FileReservation(FileStore store, StoredFile file, long? maxProjectBytes, long? expectedBytes, TimeProvider time)
{
    // Fewer writes to the database, at the cost of some space that others cannot use meanwhile.
    private const long Step = 1024 * 1024;

    // A third of the time after which a file that is still being written counts as abandoned by a stopped process.
    private static readonly TimeSpan RenewAfter = FileStore.WritingLease / 3;

    private long _granted;
    private long _renewedAt = time.GetTimestamp();

    /// <summary>Records the file and reserves space for its first bytes. False when there is none.</summary>
    /// <param name="bytes">Minimum bytes of the content.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    public async Task<bool> BeginAsync(long bytes, CancellationToken cancellationToken)
    {
        if (!await store.BeginAsync(file, bytes, maxProjectBytes, cancellationToken)) return false;
        _granted = bytes;
        return true;
    }

    /// <summary>Reserves space for a content of <paramref name="length"/> bytes. False when there is none.</summary>
    public async ValueTask<bool> EnsureAsync(long length, CancellationToken cancellationToken)
    {
        if (length <= _granted && time.GetElapsedTime(_renewedAt) < RenewAfter) return true;
        var granted = await store.GrowAsync(file, Math.Max(length, _granted), Wish(length), maxProjectBytes, cancellationToken);
        if (granted < length) return false;
        _granted = granted;
        _renewedAt = time.GetTimestamp();
        return true;
    }

    // Steps double for a content of unknown length, so that a long one needs few of them.
    private long Wish(long length)
    {
        if (length <= _granted) return _granted;
        return expectedBytes is { } expected && expected >= length ? Math.Min(expected, length + Step) : length + Math.Max(Step, length);
    }
}
