using Fairlead.Storage;

namespace Fairlead.Responses;

/// <summary>Finished responses. No other table has their content. Times are milliseconds since 1970 in UTC.</summary>
internal sealed class ResponseSchema : ISchemaStep
{
    public int Version => 300;

    public string Name => "stored responses";

    public string Sql(SqlFlavour sql) => $"""
        CREATE TABLE stored_responses (
            id {sql.Text} NOT NULL PRIMARY KEY,
            project_id {sql.Text} NOT NULL,
            status {sql.Text} NOT NULL,
            previous_id {sql.Text} NULL,
            created_at BIGINT NOT NULL,
            expires_at BIGINT NOT NULL,
            response {sql.Bytes} NOT NULL,
            input {sql.Bytes} NOT NULL,
            output {sql.Bytes} NOT NULL
        );
        CREATE INDEX stored_responses_by_expiry ON stored_responses (expires_at);
        """;
}
