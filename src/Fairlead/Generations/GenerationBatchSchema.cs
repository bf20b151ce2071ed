using Fairlead.Storage;

namespace Fairlead.Generations;

/// <summary>Generations that are lines of a batch. Because of the unique index, a line is queued only once.</summary>
internal sealed class GenerationBatchSchema : ISchemaStep
{
    public int Version => 510;

    public string Name => "generations of batches";

    public string Sql(SqlFlavour sql) => $"""
        ALTER TABLE generations ADD COLUMN batch_id {sql.Text} NULL;
        ALTER TABLE generations ADD COLUMN batch_line BIGINT NULL;
        CREATE UNIQUE INDEX generations_by_batch ON generations (batch_id, batch_line) WHERE batch_id IS NOT NULL;
        CREATE INDEX generations_open_by_batch ON generations (batch_id, status)
            WHERE batch_id IS NOT NULL AND (status = 'queued' OR status = 'in_progress');
        """;
}
