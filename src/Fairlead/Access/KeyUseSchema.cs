using Fairlead.Storage;

namespace Fairlead.Access;

/// <summary>
/// When keys were used last, in a table of its own: a change of a key has every node read all keys again. Times are milliseconds since 1970
/// in UTC.
/// </summary>
internal sealed class KeyUseSchema : ISchemaStep
{
    public int Version => 11;

    public string Name => "last use of keys";

    public string Sql(SqlFlavour sql) => $"""
        CREATE TABLE api_key_uses (
            key_id {sql.Text} NOT NULL PRIMARY KEY REFERENCES api_keys (id) ON DELETE CASCADE,
            last_used_at BIGINT NOT NULL
        ){sql.Keyed};
        """;
}
