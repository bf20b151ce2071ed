namespace Fairlead.Auditing.Ledger;

/// <summary>Whether records of changes may wait in the database, by what this process knows. Thread-safe.</summary>
internal sealed class PendingChanges
{
    private long _noted;

    /// <summary>How many changes this process has committed.</summary>
    public long Noted => Interlocked.Read(ref _noted);

    /// <summary>A change was committed with its record.</summary>
    public void Note() => Interlocked.Increment(ref _noted);
}
