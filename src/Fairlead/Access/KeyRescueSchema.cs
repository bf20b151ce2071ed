using Fairlead.Storage;

namespace Fairlead.Access;

/// <summary>By which deployments the streams of a key may be continued; null for the server's setting.</summary>
internal sealed class KeyRescueSchema : ISchemaStep
{
    public int Version => 4;

    public string Name => "rescue by key";

    public string Sql(SqlFlavour sql) => "ALTER TABLE api_keys ADD COLUMN rescue TEXT NULL;";
}
