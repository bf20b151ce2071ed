using Fairlead.Storage;

namespace Fairlead.Catalogue.States;

/// <summary>
/// The operational states of deployments: beside the configuration, and shared by all nodes. A deployment without a row is active. A row
/// stays when its deployment leaves the configuration. Times are milliseconds since 1970 in UTC.
/// </summary>
internal sealed class DeploymentStateSchema : ISchemaStep
{
    public int Version => 850;

    public string Name => "states of deployments";

    public string Sql(SqlFlavour sql) => $"""
        CREATE TABLE deployment_states (
            deployment {sql.Text} NOT NULL PRIMARY KEY,
            state {sql.Text} NOT NULL,
            changed_at BIGINT NOT NULL,
            changed_by {sql.Text} NOT NULL
        ){sql.Keyed};
        """;
}
