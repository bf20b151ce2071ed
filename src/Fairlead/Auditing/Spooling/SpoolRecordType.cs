namespace Fairlead.Auditing.Spooling;

/// <summary>The type of a spool record. The numbers are stored on disk and are never reused.</summary>
internal enum SpoolRecordType : byte
{
    /// <summary>An attempt is about to be sent. Contains all that a recovery needs to charge the call.</summary>
    AttemptStarted = 1,

    /// <summary>What a running attempt would be charged if the process died now.</summary>
    AttemptProgressed = 2,

    /// <summary>The audit record of a finished call with its attempts.</summary>
    CallEnded = 3,

    /// <summary>A copy of <see cref="AttemptStarted"/> for a call that still ran when its segment was deleted.</summary>
    AttemptCarried = 4,

    /// <summary>
    /// As <see cref="CallEnded"/>, for a call that an earlier process left unfinished: no reservation of this process has paid for it.
    /// </summary>
    CallRecovered = 5,

    /// <summary>The record of an administrator's action.</summary>
    AdministrationRecorded = 6,

    /// <summary>
    /// As <see cref="CallEnded"/>, then a line feed and the content of the call. Once the database has both, it becomes
    /// <see cref="CallEnded"/> in its place, and zeros take that of the content.
    /// </summary>
    CallEndedWithContent = 7,
}
