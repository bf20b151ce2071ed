namespace Fairlead.Storage;

/// <summary>The kinds of databases in which Fairlead stores its records.</summary>
internal enum StorageProvider
{
    /// <summary>One file in the data directory, for one machine.</summary>
    Sqlite,

    /// <summary>A server that several nodes share.</summary>
    Postgres,
}
