using Fairlead.Storage;

namespace Fairlead.Generations.Events;

/// <summary>
/// Events of stored generations: one row for each batch that a run wrote at once. The number of events in the row of the generation is lock
/// and fence: a run names the number that it knows, and adds to it before it writes. A run that was taken over finds no row; a run that
/// repeats a batch whose commit was lost finds a different number.
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
