using Fairlead.Configuration;

namespace Fairlead.Catalogue;

/// <summary>Whether a model is deprecated or retired.</summary>
internal sealed record LifecycleConfig
{
    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<LifecycleConfig> Keys = new(() => new LifecycleConfig(), [],
        new("state", new ConfigChoice("active", "deprecated", "retired"), l => l.State, (l, v) => l with { State = (string)v },
            "A retired model is refused with model_retired."),
        new("deprecatedAt", new ConfigDate(), l => l.DeprecatedAt, (l, v) => l with { DeprecatedAt = (DateTimeOffset)v },
            "Since when it should no longer be used."),
        new("retiresAt", new ConfigDate(), l => l.RetiresAt, (l, v) => l with { RetiresAt = (DateTimeOffset)v },
            "When it stops responding."),
        new("replacement", ConfigTypes.Text, l => l.Replacement, (l, v) => l with { Replacement = (string)v },
            "The model to use instead."));

    /// <summary>active, deprecated or retired.</summary>
    public string State { get; init; } = "active";

    public DateTimeOffset? DeprecatedAt { get; init; }

    public DateTimeOffset? RetiresAt { get; init; }

    public string? Replacement { get; init; }
}
