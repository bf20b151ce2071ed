using System.Collections.Concurrent;
using Fairlead.Errors;

namespace Fairlead.Pipeline;

/// <summary>
/// Which refused calls of known keys are put on record: of one key and one code at most one a second, and the next one says how many were left
/// out before it. So the owner learns of a misuse, and nobody who holds a dead key can fill the audit. Thread-safe; as many entries as there are
/// keys that were refused.
/// </summary>
internal sealed class RefusalRecords(TimeProvider time)
{
    internal static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<(string KeyId, ErrorCode Code), Entry> _entries = new();

    /// <summary>Whether this refusal is to be recorded.</summary>
    /// <param name="keyId">The key that was presented.</param>
    /// <param name="code">Why it was refused.</param>
    /// <param name="suppressed">When it is, refusals of the same key and code since the last record that were not.</param>
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
