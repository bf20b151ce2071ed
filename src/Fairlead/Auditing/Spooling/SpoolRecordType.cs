namespace Fairlead.Auditing.Spooling;

/// <summary>What a record of the spool says. The numbers stand on disk and are never reused.</summary>
internal enum SpoolRecordType : byte
{
    /// <summary>An attempt is about to be sent; with it, all that a recovery needs to charge the call.</summary>
    AttemptStarted = 1,

    /// <summary>What a running attempt would be charged if the process died now.</summary>
    AttemptProgressed = 2,

    /// <summary>The audit record of a finished call with its attempts.</summary>
    CallEnded = 3,

    /// <summary>A copy of <see cref="AttemptStarted"/> for a call that still ran when its segment was given up.</summary>
    AttemptCarried = 4,
}
