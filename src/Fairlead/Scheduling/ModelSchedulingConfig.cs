using Fairlead.Configuration;

namespace Fairlead.Scheduling;

/// <summary>Settings of the queue of one model; what is null comes from <see cref="SchedulingConfig"/>.</summary>
internal sealed record ModelSchedulingConfig
{
    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<ModelSchedulingConfig> Keys = new(() => new ModelSchedulingConfig(), [],
        new("maxQueued", ModelQueueLengths.Keys, s => s.MaxQueued, (s, v) => s with { MaxQueued = (ModelQueueLengths)v },
            "Calls that may wait for this model, by class."),
        new("maxWait", SchedulingConfig.MaxWaitType, s => s.MaxWait, (s, v) => s with { MaxWait = (TimeSpan)v },
            "Longest wait of a call for a slot."),
        new("agingAfter", SchedulingConfig.AgingAfterType, s => s.AgingAfter, (s, v) => s with { AgingAfter = (TimeSpan)v },
            "A call counts as one class higher for each such span that it has waited."),
        new("adaptive", ConfigTypes.Switch, s => (object?)s.Adaptive, (s, v) => s with { Adaptive = (bool)v },
            SchedulingConfig.AdaptiveSummary));

    public ModelQueueLengths? MaxQueued { get; init; }

    public TimeSpan? MaxWait { get; init; }

    public TimeSpan? AgingAfter { get; init; }

    public bool? Adaptive { get; init; }
}

/// <summary>A number of waiting calls for each class; null for the general one.</summary>
internal sealed record ModelQueueLengths
{
    /// <summary>Their keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<ModelQueueLengths> Keys = new(() => new ModelQueueLengths(), [],
        new("realtime", QueueLengths.Length, q => (long?)q.Realtime, (q, v) => q with { Realtime = (int)(long)v },
            "Calls of the class `realtime`."),
        new("standard", QueueLengths.Length, q => (long?)q.Standard, (q, v) => q with { Standard = (int)(long)v },
            "Calls of the class `standard`."),
        new("bulk", QueueLengths.Length, q => (long?)q.Bulk, (q, v) => q with { Bulk = (int)(long)v }, "Calls of the class `bulk`."));

    public int? Realtime { get; init; }

    public int? Standard { get; init; }

    public int? Bulk { get; init; }
}
