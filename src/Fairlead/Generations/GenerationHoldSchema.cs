using Fairlead.Storage;

namespace Fairlead.Generations;

/// <summary>
/// What a job holds of budgets until it ends, and the process that has it in its lease: see <see cref="Limits.Budgets.BudgetHolds"/>. The
/// index has all that the sums of a budget read, and almost no rows: only jobs of processes that have stopped.
/// </summary>
internal sealed class GenerationHoldSchema : ISchemaStep
{
    public int Version => 605;

    public string Name => "holds of jobs";

    public string Sql(SqlFlavour sql) => $"""
        ALTER TABLE generations ADD COLUMN hold_model {sql.Text} NULL;
        ALTER TABLE generations ADD COLUMN hold_tokens BIGINT NOT NULL DEFAULT 0;
        ALTER TABLE generations ADD COLUMN hold_pico BIGINT NOT NULL DEFAULT 0;
        ALTER TABLE generations ADD COLUMN hold_cap BIGINT NULL;
        ALTER TABLE generations ADD COLUMN hold_state BIGINT NOT NULL DEFAULT 0;
        ALTER TABLE generations ADD COLUMN hold_node {sql.Text} NULL;
        ALTER TABLE generations ADD COLUMN hold_process BIGINT NULL;
        CREATE INDEX generations_free_holds ON generations (
            organization_id, project_id, key_id, hold_model, class_rank, created_at, status, hold_tokens, hold_pico) WHERE hold_state = 2;
        """;
}
