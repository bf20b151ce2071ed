using Fairlead.Storage;

namespace Fairlead.Auditing.Content;

/// <summary>
/// The recorded content of calls, apart from the blocks of records: a search does not read it, and it can be removed without changing a
/// record, which has only its hash.
/// </summary>
internal sealed class ContentSchema : ISchemaStep
{
    public int Version => 105;

    public string Name => "recorded content of calls";

    // What was removed has no data and is in neither index of times.
    public string Sql(SqlFlavour sql) => $"""
        CREATE TABLE audit_contents (
            number {sql.RowNumber},
            node {sql.Text} NOT NULL,
            sequence BIGINT NOT NULL,
            at BIGINT NOT NULL,
            organization_id {sql.Text} NOT NULL,
            hash {sql.Bytes} NOT NULL,
            form BIGINT NOT NULL,
            removal {sql.Text} NULL,
            data {sql.Bytes} NULL
        );
        CREATE UNIQUE INDEX audit_contents_by_record ON audit_contents (node, sequence);
        CREATE INDEX audit_contents_by_time ON audit_contents (at) WHERE data IS NOT NULL;
        CREATE INDEX audit_contents_by_organization ON audit_contents (organization_id, at) WHERE data IS NOT NULL;
        {(sql.Provider == StorageProvider.Postgres ? "ALTER TABLE audit_contents ALTER COLUMN data SET STORAGE EXTERNAL;" : "")}
        """;
}
