using Fairlead.Storage;

namespace Fairlead.Responses;

/// <summary>Whose responses they are, and what continues them, for erasures. Null in rows of earlier versions.</summary>
internal sealed class ResponseOwnerSchema : ISchemaStep
{
    public int Version => 881;

    public string Name => "owners of stored responses";

    public string Sql(SqlFlavour sql) => $"""
        ALTER TABLE stored_responses ADD COLUMN key_id {sql.Text} NULL;
        ALTER TABLE stored_responses ADD COLUMN end_user {sql.Text} NULL;
        CREATE INDEX stored_responses_by_previous ON stored_responses (previous_id) WHERE previous_id IS NOT NULL;
        """;
}
