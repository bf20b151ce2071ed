using System.Collections.Concurrent;
using Fairlead.Errors;

namespace Fairlead.Pipeline;

/// <summary>
/// Decides which refused calls of known keys are recorded: at most one each second for a key and an error code. The next record has the
/// number of those left out. So the owner sees a misuse, and a revoked key cannot fill the audit log. Thread-safe; one entry for each
/// refused key and code.
/// </summary>
internal sealed class RefusalRecords(TimeProvider time)
{
    internal static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<(string KeyId, ErrorCode Code), Entry> _entries = new();

    /// <summary>Whether this refusal is recorded.</summary>
    /// <param name="keyId">The key that was presented.</param>
    /// <param name="code">Why it was refused.</param>
    /// <param name="suppressed">If it is: how many refusals of the same key and code were left out since the last record.</param>
    public bool TryTake(string keyId, ErrorCode code, out long suppressed)
    {
        var entry = _entries.GetOrAdd((keyId, code), static _ => new Entry());
        lock (entry)
        {
            suppressed = 0;
            var now = time.GetTimestamp();
            if (entry.RecordedAt is { } last && time.GetElapsedTime(last, now) < Interval)
            {
                entry.Suppressed++;
                return false;
            }
            (suppressed, entry.Suppressed, entry.RecordedAt) = (entry.Suppressed, 0, now);
            return true;
        }
    }

    private sealed class Entry
    {
        public long? RecordedAt { get; set; }

        public long Suppressed { get; set; }
    }
}
