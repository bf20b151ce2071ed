using Fairlead.Storage;

namespace Fairlead.Access;

/// <summary>
/// Organizations, projects, keys and the secrets of keys. Times are milliseconds since 1970 in UTC; lists are JSON arrays.
/// Triggers count every change in <c>access_revision</c>, also one by another program, so that a process can check for changes by reading
/// one row.
/// </summary>
internal sealed class AccessSchema : ISchemaStep
{
    public int Version => 1;

    public string Name => "organizations, projects and keys";

    public string Sql(SqlFlavour sql) => Tables(sql) + (sql.Provider == StorageProvider.Sqlite
        ? string.Concat(Watched.SelectMany(table => Changes.Select(change => Trigger(table, change))))
        : Count + string.Concat(Watched.Select(CountingTrigger)));

    private static readonly string[] Watched = ["organizations", "projects", "api_keys", "api_key_secrets"];

    private static readonly string[] Changes = ["INSERT", "UPDATE", "DELETE"];

    private static string Trigger(string table, string change) =>
        $"CREATE TRIGGER {table}_{change.ToLowerInvariant()}_counts AFTER {change} ON {table} "
        + "BEGIN UPDATE access_revision SET revision = revision + 1; END;\n";

    private const string Count =
        "CREATE FUNCTION fairlead_count_access() RETURNS trigger LANGUAGE plpgsql AS "
        + "$$ BEGIN UPDATE access_revision SET revision = revision + 1; RETURN NULL; END $$;\n";

    private static string CountingTrigger(string table) =>
        $"CREATE TRIGGER {table}_counts AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table} "
        + "FOR EACH STATEMENT EXECUTE FUNCTION fairlead_count_access();\n";

    private static string Tables(SqlFlavour sql) => $"""
        CREATE TABLE organizations (
            id {sql.Text} NOT NULL PRIMARY KEY,
            name {sql.Text} NOT NULL,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL
        ){sql.Keyed};

        CREATE TABLE projects (
            id {sql.Text} NOT NULL PRIMARY KEY,
            organization_id {sql.Text} NOT NULL REFERENCES organizations (id) ON DELETE RESTRICT,
            name {sql.Text} NOT NULL,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL
        ){sql.Keyed};
        CREATE INDEX projects_by_organization ON projects (organization_id, id);

        CREATE TABLE api_keys (
            id {sql.Text} NOT NULL PRIMARY KEY,
            project_id {sql.Text} NOT NULL REFERENCES projects (id) ON DELETE RESTRICT,
            name {sql.Text} NOT NULL,
            scopes {sql.Text} NOT NULL,
            models {sql.Text} NULL,
            classes {sql.Text} NOT NULL,
            default_class {sql.Text} NOT NULL,
            addresses {sql.Text} NOT NULL,
            expires_at BIGINT NULL,
            api_version {sql.Text} NOT NULL,
            extensions BIGINT NOT NULL,
            revoked_at BIGINT NULL,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL
        ){sql.Keyed};
        CREATE INDEX api_keys_by_project ON api_keys (project_id, id);

        CREATE TABLE api_key_secrets (
            public_id {sql.Text} NOT NULL PRIMARY KEY,
            key_id {sql.Text} NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
            hash {sql.Bytes} NOT NULL,
            created_at BIGINT NOT NULL,
            retires_at BIGINT NULL
        ){sql.Keyed};
        CREATE INDEX api_key_secrets_by_key ON api_key_secrets (key_id);

        CREATE TABLE access_revision (revision BIGINT NOT NULL);
        INSERT INTO access_revision (revision) VALUES (1);

        CREATE TABLE first_start (
            client_key_id {sql.Text} NOT NULL,
            admin_key_id {sql.Text} NULL,
            announced BIGINT NOT NULL
        );

        """;
}
