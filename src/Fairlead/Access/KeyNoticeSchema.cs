using Fairlead.Storage;

namespace Fairlead.Access;

/// <summary>Which keys were announced to expire, and how many days before. A key with a new time is announced again. Times are milliseconds since 1970.</summary>
internal sealed class KeyNoticeSchema : ISchemaStep
{
    public int Version => 12;

    public string Name => "notices of keys that expire";

    public string Sql(SqlFlavour sql) => $"""
        CREATE TABLE api_key_notices (
            key_id {sql.Text} NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
            days BIGINT NOT NULL,
            expires_at BIGINT NOT NULL,
            PRIMARY KEY (key_id, days, expires_at)
        ){sql.Keyed};
        """;
}
