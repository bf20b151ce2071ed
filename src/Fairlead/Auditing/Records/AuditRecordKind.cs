namespace Fairlead.Auditing.Records;

/// <summary>What an audit record is about. The numbers are part of its hash.</summary>
internal enum AuditRecordKind : byte
{
    /// <summary>A call, with its attempts.</summary>
    Generation = 1,

    /// <summary>A change, a sign-in or a refused attempt of an administrator.</summary>
    Administration = 2,
}
