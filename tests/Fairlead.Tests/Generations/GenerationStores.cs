using Fairlead.Generations;
using Fairlead.Generations.Events;
using Fairlead.Limits.Budgets;
using Fairlead.Storage;
using Fairlead.Tests.Storage;
using Fairlead.Webhooks;

namespace Fairlead.Tests.Generations;

/// <summary>The stores of one database, as one node has them.</summary>
internal sealed class GenerationStores
{
    public GenerationStores(IStorage storage, IWebhookOutbox outbox, TimeProvider time, BudgetHolder? holder = null)
    {
        var sql = new GenerationSql(storage, time);
        Records = new GenerationStore(storage, outbox, time);
        Inserter = new GenerationInserter(storage, sql, time, holder);
        Queue = new GenerationQueue(storage, sql, time);
        Leases = new RunLeases(storage, sql, time, holder);
        Ends = new GenerationEnds(storage, outbox, time);
        Events = new GenerationEventStore(storage);
        Deletion = new GenerationDeletion(storage, time);
    }

    public GenerationStore Records { get; }

    public GenerationInserter Inserter { get; }

    public GenerationQueue Queue { get; }

    public RunLeases Leases { get; }

    public GenerationEnds Ends { get; }

    public GenerationEventStore Events { get; }

    public GenerationDeletion Deletion { get; }

    /// <summary>A database with the tables that generations and their webhooks need.</summary>
    public static IStorage Open(TemporaryStorage temporary) => temporary.Open(
        new GenerationSchema(), new WebhookSchema(), new GenerationWebhookSchema(), new GenerationEventsSchema(), new GenerationBatchSchema(),
        new GenerationSuspicionSchema(), new GenerationQueueSchema(), new GenerationHoldSchema());

    public static GenerationStores Of(IStorage storage, TimeProvider time, TimeProvider? clock = null) =>
        new(storage, new WebhookOutbox(storage, new WebhookStore(storage, time), time), clock ?? time);
}
