using System.Diagnostics;
using System.Globalization;

namespace Fairlead.Tests;

/// <summary>Processor time of the present thread: a limit on it holds on a machine that others keep busy too.</summary>
internal static class ProcessorTime
{
    public static TimeSpan OfThread()
    {
        if (!OperatingSystem.IsLinux()) return Stopwatch.GetElapsedTime(0);
        return TimeSpan.FromMicroseconds(long.Parse(File.ReadAllText("/proc/thread-self/schedstat").Split(' ')[0], CultureInfo.InvariantCulture) / 1000.0);
    }
}
