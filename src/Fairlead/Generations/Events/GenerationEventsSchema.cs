using Fairlead.Storage;

namespace Fairlead.Generations.Events;

/// <summary>
/// Events of kept generations, a row for each batch that a run wrote at once. The count in the generation's row is the lock and the fence: a run names
/// the count that it knows and adds to it before it writes. One that was taken over finds no row to add to; one that repeats a batch whose commit was lost finds another count.
/// </summary>
internal sealed class GenerationEventsSchema : ISchemaStep
{
    public int Version => 600;

    public string Name => "events of generations";

    public string Sql(SqlFlavour sql) => $"""
        CREATE TABLE generation_events (
            generation_id {sql.Text} NOT NULL,
            first_event BIGINT NOT NULL,
            events {sql.Bytes} NOT NULL,
            PRIMARY KEY (generation_id, first_event)
        ){sql.Keyed};
        ALTER TABLE generations ADD COLUMN event_count BIGINT NOT NULL DEFAULT 0;
        """;
}
