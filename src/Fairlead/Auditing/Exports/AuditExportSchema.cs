using Fairlead.Storage;

namespace Fairlead.Auditing.Exports;

/// <summary>How far audit records have been exported on a schedule: when the last file ended, and with which record of each chain.</summary>
internal sealed class AuditExportSchema : ISchemaStep
{
    public int Version => 124;

    public string Name => "progress of scheduled exports of audit records";

    public string Sql(SqlFlavour sql) => $"""
        CREATE TABLE audit_exports (
            id BIGINT NOT NULL PRIMARY KEY,
            at BIGINT NOT NULL
        ){sql.Keyed};

        CREATE TABLE audit_export_positions (
            node {sql.Text} NOT NULL PRIMARY KEY,
            sequence BIGINT NOT NULL
        ){sql.Keyed};
        """;
}
