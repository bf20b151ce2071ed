namespace Fairlead.Storage;

/// <summary>
/// Work that only one transaction of all nodes does at a time. The numbers are keys of PostgreSQL's advisory locks; they are never used
/// for anything else, also when a member is no longer needed.
/// </summary>
internal enum StorageLock
{
    /// <summary>Bringing the schema up to date.</summary>
    Schema = 1,

    /// <summary>Changing organizations, projects and keys: rare, and simplest to reason about one after another.</summary>
    Access = 2,

    /// <summary>Deciding about runs whose process is gone, and taking one of them for a run alone. Always before any row of a generation.</summary>
    Suspects = 200,

    /// <summary>Adding a webhook, so that the bound of a project holds.</summary>
    Webhooks = 300,

    /// <summary>Reserving room for files, so that the quota of a project holds.</summary>
    Files = 500,
}
