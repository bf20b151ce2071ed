namespace Fairlead.Access;

/// <summary>Names of the priority classes that a key may allow.</summary>
internal static class CallClasses
{
    public const string Default = "standard";

    public static IReadOnlyList<string> All { get; } = ["realtime", "standard", "bulk"];
}
