namespace Fairlead.Access;

/// <summary>The priority classes of calls. Every reader, the queue and the OpenAPI documents have this list.</summary>
internal static class CallClasses
{
    public const string Realtime = "realtime";

    public const string Standard = "standard";

    /// <summary>The class of the lines of a batch.</summary>
    public const string Bulk = "bulk";

    /// <summary>The class of a call that names none, unless its key has another default.</summary>
    public const string Default = Standard;

    /// <summary>All classes, the most urgent first. The queue stores the index, so the order must not change.</summary>
    public static IReadOnlyList<string> All { get; } = [Realtime, Standard, Bulk];

    /// <summary>The class of a call that names none, if only <paramref name="classes"/> are allowed.</summary>
    public static string DefaultOf(IReadOnlyCollection<string> classes) =>
        classes.Contains(Default) ? Default : All.FirstOrDefault(classes.Contains) ?? Default;

    /// <summary>The position of a class in <see cref="All"/>, 0 for the most urgent.</summary>
    public static int RankOf(string name) => name switch
    {
        Realtime => 0,
        Standard => 1,
        _ => 2,
    };
}
