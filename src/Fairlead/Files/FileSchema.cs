using Fairlead.Storage;

namespace Fairlead.Files;

/// <summary>
/// Files of projects. Times are milliseconds since 1970 in UTC. A row exists before its content, so that the rest of a failed upload can be
/// found.
/// A deleted file only expires, and is removed when nothing holds it. The chunks are used where content is not on the disk of one node.
/// </summary>
internal sealed class FileSchema : ISchemaStep
{
    public int Version => 500;

    public string Name => "files";

    public string Sql(SqlFlavour sql) => $"""
        CREATE TABLE files (
            id {sql.Text} NOT NULL PRIMARY KEY,
            organization_id {sql.Text} NOT NULL,
            project_id {sql.Text} NOT NULL,
            filename {sql.Text} NOT NULL,
            purpose {sql.Text} NOT NULL,
            status {sql.Text} NOT NULL,
            bytes BIGINT NOT NULL,
            created_at BIGINT NOT NULL,
            expires_at BIGINT NOT NULL,
            holders BIGINT NOT NULL DEFAULT 0
        );
        CREATE INDEX files_by_project ON files (project_id, id);
        CREATE INDEX files_by_expiry ON files (expires_at);
        CREATE TABLE file_chunks (
            file_id {sql.Text} NOT NULL,
            number BIGINT NOT NULL,
            content {sql.Bytes} NOT NULL,
            PRIMARY KEY (file_id, number)
        );
        """;
}
