using Fairlead.Storage;

namespace Fairlead.Auditing.Ledger;

/// <summary>
/// Adds the class to the hourly sums, and indexes by key, organization, and organization and model, so that the usage of one owner is read
/// without that of others. Sums from before have the class <c>standard</c>.
/// </summary>
internal sealed class UsageClassSchema : ISchemaStep
{
    public int Version => 102;

    public string Name => "class and owners of hourly sums";

    public string Sql(SqlFlavour sql) => (sql.Provider == StorageProvider.Sqlite ? Rebuild : Alter) + Indexes;

    // SQLite cannot change the primary key of a table.
    private const string Rebuild = """
        CREATE TABLE usage_hours_by_class (
            project_id TEXT NOT NULL,
            key_id TEXT NOT NULL,
            hour BIGINT NOT NULL,
            model TEXT NOT NULL,
            outcome TEXT NOT NULL,
            class TEXT NOT NULL,
            organization_id TEXT NOT NULL,
            requests BIGINT NOT NULL,
            input_tokens BIGINT NOT NULL,
            cached_input_tokens BIGINT NOT NULL,
            cache_write_tokens BIGINT NOT NULL,
            output_tokens BIGINT NOT NULL,
            reasoning_tokens BIGINT NOT NULL,
            cost_pico_usd BIGINT NOT NULL,
            PRIMARY KEY (project_id, key_id, hour, model, outcome, class)
        ) WITHOUT ROWID;
        INSERT INTO usage_hours_by_class
            SELECT project_id, key_id, hour, model, outcome, 'standard', organization_id, requests, input_tokens, cached_input_tokens,
                cache_write_tokens, output_tokens, reasoning_tokens, cost_pico_usd FROM usage_hours;
        DROP TABLE usage_hours;
        ALTER TABLE usage_hours_by_class RENAME TO usage_hours;
        CREATE INDEX usage_hours_by_hour ON usage_hours (hour);
        CREATE INDEX usage_hours_by_project ON usage_hours (project_id, hour);
        """;

    private const string Alter = """
        ALTER TABLE usage_hours ADD COLUMN class TEXT COLLATE "C" NOT NULL DEFAULT 'standard';
        ALTER TABLE usage_hours DROP CONSTRAINT usage_hours_pkey;
        ALTER TABLE usage_hours ADD PRIMARY KEY (project_id, key_id, hour, model, outcome, class);
        """;

    private const string Indexes = """

        CREATE INDEX usage_hours_by_key ON usage_hours (key_id, hour);
        CREATE INDEX usage_hours_by_organization ON usage_hours (organization_id, hour);
        CREATE INDEX usage_hours_by_organization_model ON usage_hours (organization_id, model, hour);
        """;
}
