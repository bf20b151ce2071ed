using Fairlead.Storage;

namespace Fairlead.Generations;

/// <summary>
/// Counts how often a process died during a run of a generation. Such generations run alone, so that they kill no other runs.
/// </summary>
internal sealed class GenerationSuspicionSchema : ISchemaStep
{
    public int Version => 601;

    public string Name => "generations that ran when their process died";

    public string Sql(SqlFlavour sql) => """
        ALTER TABLE generations ADD COLUMN suspicion BIGINT NOT NULL DEFAULT 0;
        CREATE INDEX generations_suspected ON generations (status, available_at)
            WHERE suspicion <> 0 AND (status = 'queued' OR status = 'in_progress');
        CREATE INDEX generations_by_lease_owner ON generations (lease_owner, lease_until) WHERE status = 'in_progress';
        """;
}
