namespace Fairlead.Access;

/// <summary>What a caller may do in administration.</summary>
internal enum AdminRole
{
    /// <summary>Reads everything, audit records included, and changes nothing.</summary>
    Auditor,

    /// <summary>Reads and changes one organization. Everything else does not exist for it.</summary>
    OrganizationAdmin,

    /// <summary>Reads and changes everything except keys of owners.</summary>
    Operator,

    /// <summary>Everything.</summary>
    Owner,
}
