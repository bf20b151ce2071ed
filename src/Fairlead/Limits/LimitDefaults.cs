using Fairlead.Access;

namespace Fairlead.Limits;

/// <summary>Adds <c>limits.defaults</c> of the configuration to the limits of a key.</summary>
internal static class LimitDefaults
{
    /// <summary>
    /// The limits of a key, and each default that it does not set itself. A key that sets a limit for all classes has set it for each of
    /// them: the value of a class in the defaults does not change that.
    /// </summary>
    public static LimitSet Apply(LimitSet own, LimitSet defaults)
    {
        if (ReferenceEquals(defaults, LimitSet.None)) return own;
        var result = Fill(own, own, defaults) with { Classes = own.Classes };
        if (defaults.Classes.Count == 0) return result;
        var classes = new Dictionary<string, LimitSet>(own.Classes, StringComparer.Ordinal);
        foreach (var (name, values) in defaults.Classes)
            classes[name] = Fill(own.Classes.GetValueOrDefault(name) ?? LimitSet.None, own, values);
        return result with { Classes = classes };
    }

    /// <summary><paramref name="target"/> with each default that neither it nor <paramref name="general"/> has.</summary>
    private static LimitSet Fill(LimitSet target, LimitSet general, LimitSet defaults)
    {
        var result = target;
        foreach (var field in LimitField.All)
        {
            if (field.Get(target) is null && field.Get(general) is null && field.Get(defaults) is { } value)
                result = field.Set(result, value);
        }
        if (target.Burst is null && general.Burst is null) result = result with { Burst = defaults.Burst };
        if (target.Elastic is null && general.Elastic is null) result = result with { Elastic = defaults.Elastic };
        return result;
    }
}
