namespace Fairlead.Catalogue;

/// <summary>How one of several deployments of equal priority is chosen.</summary>
internal enum SelectionStrategy
{
    /// <summary>At random by weight.</summary>
    Weight,

    /// <summary>The faster one of two that are drawn at random.</summary>
    Latency,

    /// <summary>The one for which the call costs least.</summary>
    Cost,

    /// <summary>The same one for all calls of a session, so that its prompt cache is used; sessions are spread by weight.</summary>
    Session,
}

/// <summary>The names of the strategies in the configuration and in <c>attempts</c>.</summary>
internal static class SelectionStrategies
{
    public static readonly string[] Names = ["weight", "latency", "cost", "session"];

    /// <summary>The name of a strategy.</summary>
    public static string NameOf(SelectionStrategy strategy) => Names[(int)strategy];

    /// <summary>The strategy of a name that is one of <see cref="Names"/>.</summary>
    public static SelectionStrategy Of(string name) => (SelectionStrategy)Array.IndexOf(Names, name);
}
