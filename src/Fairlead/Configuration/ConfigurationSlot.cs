namespace Fairlead.Configuration;

/// <summary>The place of a section in <see cref="GatewayConfiguration"/>, the same for the whole process. Thread-safe.</summary>
/// <typeparam name="T">The type of the section.</typeparam>
internal static class ConfigurationSlot<T>
{
    public static readonly int Index = ConfigurationSlots.Next();
}

/// <summary>Numbers the sections in the order in which they are first used.</summary>
internal static class ConfigurationSlots
{
    private static int _count = -1;

    public static int Next() => Interlocked.Increment(ref _count);
}
