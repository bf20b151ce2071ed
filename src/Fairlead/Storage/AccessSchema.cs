namespace Fairlead.Storage;

/// <summary>
/// Organizations, projects, keys and the secrets of keys. Times are milliseconds since 1970 in UTC; lists are JSON arrays.
/// Triggers count every change in <c>access_revision</c>, whoever makes it, so that every process notices by reading one row.
/// </summary>
internal sealed class AccessSchema : ISchemaStep
{
    public int Version => 1;

    public string Name => "organizations, projects and keys";

    public string Sql(StorageProvider provider) => provider switch
    {
        StorageProvider.Sqlite => Tables + string.Concat(Watched.SelectMany(table => Changes.Select(change => Trigger(table, change)))),
        _ => throw new ArgumentOutOfRangeException(nameof(provider), provider, "This step is not written for the provider."),
    };

    private static readonly string[] Watched = ["organizations", "projects", "api_keys", "api_key_secrets"];

    private static readonly string[] Changes = ["INSERT", "UPDATE", "DELETE"];

    private static string Trigger(string table, string change) =>
        $"CREATE TRIGGER {table}_{change.ToLowerInvariant()}_counts AFTER {change} ON {table} BEGIN UPDATE access_revision SET revision = revision + 1; END;\n";

    private const string Tables = """
        CREATE TABLE organizations (
            id TEXT NOT NULL PRIMARY KEY,
            name TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL
        ) WITHOUT ROWID;

        CREATE TABLE projects (
            id TEXT NOT NULL PRIMARY KEY,
            organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE RESTRICT,
            name TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX projects_by_organization ON projects (organization_id, id);

        CREATE TABLE api_keys (
            id TEXT NOT NULL PRIMARY KEY,
            project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE RESTRICT,
            name TEXT NOT NULL,
            scopes TEXT NOT NULL,
            models TEXT NULL,
            classes TEXT NOT NULL,
            default_class TEXT NOT NULL,
            addresses TEXT NOT NULL,
            expires_at INTEGER NULL,
            api_version TEXT NOT NULL,
            extensions INTEGER NOT NULL,
            revoked_at INTEGER NULL,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX api_keys_by_project ON api_keys (project_id, id);

        CREATE TABLE api_key_secrets (
            public_id TEXT NOT NULL PRIMARY KEY,
            key_id TEXT NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
            hash BLOB NOT NULL,
            created_at INTEGER NOT NULL,
            retires_at INTEGER NULL
        ) WITHOUT ROWID;
        CREATE INDEX api_key_secrets_by_key ON api_key_secrets (key_id);

        CREATE TABLE access_revision (revision INTEGER NOT NULL);
        INSERT INTO access_revision (revision) VALUES (1);

        CREATE TABLE first_start (
            client_key_id TEXT NOT NULL,
            admin_key_id TEXT NULL,
            announced INTEGER NOT NULL
        );

        """;
}
