using System.Globalization;

namespace Fairlead.Tests.TokenCounting;

/// <summary>Processor time of the current thread, as Linux counts it. Unlike elapsed time it is the same on a busy machine.</summary>
internal static class ThreadTime
{
    public static TimeSpan Used()
    {
        // First number: nanoseconds on a processor.
        var text = File.ReadAllText("/proc/thread-self/schedstat");
        return TimeSpan.FromMicroseconds(long.Parse(text.AsSpan(0, text.IndexOf(' ', StringComparison.Ordinal)), NumberStyles.None, CultureInfo.InvariantCulture) / 1000);
    }
}
