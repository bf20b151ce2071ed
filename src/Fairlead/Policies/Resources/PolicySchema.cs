using Fairlead.Storage;

namespace Fairlead.Policies.Resources;

/// <summary>
/// Content policies with all their versions. A policy has one owner and is deleted with it. Triggers count every change in
/// <c>content_policy_revision</c>, so that a node can check for changes by reading one row.
/// </summary>
internal sealed class PolicySchema : ISchemaStep
{
    public int Version => 860;

    public string Name => "content policies";

    public string Sql(SqlFlavour sql) => Tables(sql) + (sql.Provider == StorageProvider.Sqlite
        ? string.Concat(Changes.Select(Trigger))
        : Count);

    private static readonly string[] Changes = ["INSERT", "UPDATE", "DELETE"];

    private static string Trigger(string change) =>
        $"CREATE TRIGGER content_policies_{change.ToLowerInvariant()}_counts AFTER {change} ON content_policies "
        + "BEGIN UPDATE content_policy_revision SET revision = revision + 1; END;\n";

    private const string Count =
        "CREATE FUNCTION fairlead_count_policies() RETURNS trigger LANGUAGE plpgsql AS "
        + "$$ BEGIN UPDATE content_policy_revision SET revision = revision + 1; RETURN NULL; END $$;\n"
        + "CREATE TRIGGER content_policies_counts AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON content_policies "
        + "FOR EACH STATEMENT EXECUTE FUNCTION fairlead_count_policies();\n";

    private static string Tables(SqlFlavour sql) => $"""
        CREATE TABLE content_policies (
            id {sql.Text} NOT NULL PRIMARY KEY,
            name {sql.Text} NOT NULL UNIQUE,
            organization_id {sql.Text} NULL REFERENCES organizations (id) ON DELETE CASCADE,
            project_id {sql.Text} NULL REFERENCES projects (id) ON DELETE CASCADE,
            key_id {sql.Text} NULL REFERENCES api_keys (id) ON DELETE CASCADE,
            version BIGINT NOT NULL,
            content {sql.Text} NOT NULL,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL
        ){sql.Keyed};
        CREATE INDEX content_policies_by_organization ON content_policies (organization_id);
        CREATE INDEX content_policies_by_project ON content_policies (project_id);
        CREATE INDEX content_policies_by_key ON content_policies (key_id);

        CREATE TABLE content_policy_versions (
            policy_id {sql.Text} NOT NULL REFERENCES content_policies (id) ON DELETE CASCADE,
            version BIGINT NOT NULL,
            name {sql.Text} NOT NULL,
            content {sql.Text} NOT NULL,
            changed_by {sql.Text} NOT NULL,
            changed_by_name {sql.Text} NOT NULL,
            changed_at BIGINT NOT NULL,
            PRIMARY KEY (policy_id, version)
        ){sql.Keyed};

        CREATE TABLE content_policy_revision (revision BIGINT NOT NULL);
        INSERT INTO content_policy_revision (revision) VALUES (1);

        """;
}
