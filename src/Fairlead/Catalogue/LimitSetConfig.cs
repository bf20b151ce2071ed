using Fairlead.Access;
using Fairlead.Configuration;

namespace Fairlead.Catalogue;

/// <summary>
/// The limits object in the configuration file. Its keys are in camelCase like all others; the names of the admin API work too, because
/// operators copy them.
/// </summary>
internal static class LimitSetConfig
{
    private static readonly ConfigObjectType<ElasticRange> ElasticKeys = new(() => ElasticRange.Default, [],
        new("min", new ConfigLimitNumber(LimitNumber.ElasticMin), e => e.Min,
            (e, v) => e with { Min = LimitNumber.ElasticMin.ToDecimal((long)v) }, "The smallest factor of a limit."),
        new("max", new ConfigLimitNumber(LimitNumber.ElasticMax), e => e.Max,
            (e, v) => e with { Max = LimitNumber.ElasticMax.ToDecimal((long)v) }, "The largest factor of a limit."));

    private static readonly ConfigKey<LimitSet>[] ClassKeys =
    [
        .. LimitField.All.Select(field => new ConfigKey<LimitSet>(CamelCase(field.Name), new ConfigLimitNumber(field.Number),
            limits => field.Get(limits), (limits, value) => field.Set(limits, (long)value), field.Summary) { Alias = field.Name }),
        new("burst", new ConfigLimitNumber(LimitNumber.Burst), l => l.Burst,
            (l, v) => l with { Burst = LimitNumber.Burst.ToDecimal((long)v) },
            "How many minutes of its rate a per-minute limit can save up; 1 when left out."),
        new("elastic", new ConfigSwitchedSection(ElasticKeys), l => l.Elastic, (l, v) => l with { Elastic = (ElasticRange)v },
            "Factors by which the rates and the concurrency beside them move with the load of the model; budgets never move. `true` is "
            + "`{ min: 0.25, max: 2 }`."),
    ];

    /// <summary>The keys of the whole object.</summary>
    public static readonly ConfigObjectType<LimitSet> Keys = new(() => LimitSet.None, [],
    [
        .. ClassKeys,
        new("classes", new ConfigMapType<LimitSet>(new ConfigObjectType<LimitSet>(() => LimitSet.None, [], ClassKeys), "class")
            {
                Names = CallClasses.All,
            },
            l => l.Classes, (l, v) => l with { Classes = (IReadOnlyDictionary<string, LimitSet>)v },
            "Other values for calls of a class. A value of a class replaces the general one for its calls and is counted separately."),
    ]);

    private static string CamelCase(string name) =>
        string.Concat(name.Split('_').Select((word, index) => index == 0 ? word : char.ToUpperInvariant(word[0]) + word[1..]));
}
