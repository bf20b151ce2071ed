namespace Fairlead.Storage;

/// <summary>
/// Work that only one transaction of all nodes does at a time. The numbers are keys of PostgreSQL's advisory locks. A number is never used
/// again, even if its member is removed.
/// </summary>
internal enum StorageLock
{
    /// <summary>Updating the schema.</summary>
    Schema = 1,

    /// <summary>Changing organizations, projects and keys: rare, and simplest if done one after another.</summary>
    Access = 2,

    /// <summary>Deciding about runs whose process is gone, and starting one of them alone. Taken before any row of a generation.</summary>
    Suspects = 200,

    /// <summary>Adding a webhook, so that the project's maximum is kept.</summary>
    Webhooks = 300,

    /// <summary>Reserving space for files, so that the project's quota is kept.</summary>
    Files = 500,
}
