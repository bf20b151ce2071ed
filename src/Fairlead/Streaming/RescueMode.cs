namespace Fairlead.Streaming;

/// <summary>By which deployments a stream may be continued after its provider was lost. A higher value allows more.</summary>
internal enum RescueMode
{
    /// <summary>By none: the stream ends with an error.</summary>
    Off,

    /// <summary>By those that have the same model of a provider.</summary>
    SameModel,

    /// <summary>By all that serve the name.</summary>
    Any,
}

/// <summary>The names of <see cref="RescueMode"/>.</summary>
internal static class RescueModes
{
    /// <summary>In the order of the values.</summary>
    public static readonly string[] Names = ["off", "sameModel", "any"];

    /// <summary>The name of a mode.</summary>
    public static string NameOf(RescueMode mode) => Names[(int)mode];

    /// <summary>The mode with a name; null for null and for unknown names.</summary>
    public static RescueMode? Parse(string? name) => Array.IndexOf(Names, name) is >= 0 and var at ? (RescueMode)at : null;

    /// <summary>The narrower of two; null narrows nothing.</summary>
    public static RescueMode Narrow(this RescueMode mode, RescueMode? other) => other < mode ? other.Value : mode;
}
