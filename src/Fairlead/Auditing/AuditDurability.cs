namespace Fairlead.Auditing;

/// <summary>What an audit record survives before the last byte of the response is sent.</summary>
internal enum AuditDurability
{
    /// <summary>In the operating system's cache: survives a crash of the process.</summary>
    Spool,

    /// <summary>On the disk: survives a crash of the machine.</summary>
    Fsync,

    /// <summary>In the database, and flushed there: survives the loss of the machine, if the database is on another.</summary>
    Database,
}
