using System.Diagnostics;
using System.Globalization;

namespace Fairlead.Tests;

/// <summary>
/// Processor time of the current thread. A limit on it holds even on a busy machine. Falls back to elapsed time where the system has no
/// count per thread.
/// </summary>
internal static class ProcessorTime
{
    public static TimeSpan OfThread()
    {
        if (!OperatingSystem.IsLinux()) return Stopwatch.GetElapsedTime(0);
        // First number: nanoseconds on a processor.
        var text = File.ReadAllText("/proc/thread-self/schedstat");
        return TimeSpan.FromMicroseconds(long.Parse(text.AsSpan(0, text.IndexOf(' ', StringComparison.Ordinal)), NumberStyles.None, CultureInfo.InvariantCulture) / 1000.0);
    }
}
