namespace Fairlead.Auditing;

/// <summary>What an audit record survives before the last byte of the response leaves.</summary>
public enum AuditDurability
{
    /// <summary>In the operating system's cache: survives the death of the process.</summary>
    Spool,

    /// <summary>On the disk: survives the death of the machine.</summary>
    Fsync,
}
