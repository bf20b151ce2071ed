using CsCheck;
using Fairlead.Access;

namespace Fairlead.Tests.Access;

/// <summary>Limits for property tests.</summary>
internal static class LimitSets
{
    private static readonly Gen<LimitSet> OfClass =
        Gen.Select(Gen.Select(Gen.Bool, Gen.Long[0, long.MaxValue]).Array[LimitField.All.Count], Gen.Int[100_000, 60_000_000].Nullable(), Gen.Select(Gen.Int[10_000, 1_000_000], Gen.Int[1_000_000, 100_000_000]).Nullable())
            .Select((values, burst, elastic) =>
            {
                var limits = new LimitSet
                {
                    Burst = burst / 1_000_000m,
                    Elastic = elastic is { } range ? new ElasticRange(range.Item1 / 1_000_000m, range.Item2 / 1_000_000m) : null,
                };
                for (var i = 0; i < values.Length; i++)
                {
                    var (isSet, value) = values[i];
                    var number = LimitField.All[i].Number;
                    var (min, max) = (number.ToUnits(number.Min), number.ToUnits(number.Max));
                    if (isSet) limits = LimitField.All[i].Set(limits, min + (value % (max - min + 1)));
                }
                return limits;
            });

    /// <summary>Valid limits of every kind; no class without limits.</summary>
    public static readonly Gen<LimitSet> Any = Gen.Select(OfClass, Gen.Select(Gen.OneOf([.. CallClasses.All.Select(Gen.Const)]), OfClass).Array[0, 3])
        .Select((limits, classes) => limits with
        {
            Classes = classes.Where(one => !Same(one.Item2, LimitSet.None)).DistinctBy(one => one.Item1).ToDictionary(one => one.Item1, one => one.Item2),
        });

    /// <summary>Whether all values are equal. Records compare the classes by reference.</summary>
    public static bool Same(LimitSet left, LimitSet right) =>
        left with { Classes = right.Classes } == right && left.Classes.Count == right.Classes.Count
        && left.Classes.All(one => right.Classes.TryGetValue(one.Key, out var other) && Same(one.Value, other));
}
