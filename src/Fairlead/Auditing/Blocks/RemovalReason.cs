namespace Fairlead.Auditing.Blocks;

/// <summary>Why a record is no longer there. The numbers are stored and are never reused.</summary>
internal enum RemovalReason : byte
{
    /// <summary>It was older than records are kept.</summary>
    Retention = 1,

    /// <summary>Someone asked for its erasure.</summary>
    Erasure = 2,
}

internal static class RemovalReasonName
{
    public static string ToWire(this RemovalReason reason) => reason switch
    {
        RemovalReason.Retention => "retention",
        RemovalReason.Erasure => "erasure",
        _ => "unknown",
    };
}
