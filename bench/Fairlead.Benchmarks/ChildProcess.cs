using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Fairlead.Benchmarks;

/// <summary>A child process of the run, with its processor time and memory. Killed by its own id when disposed.</summary>
internal sealed class ChildProcess : IDisposable
{
    private readonly Process _process;
    private readonly System.Text.StringBuilder _output = new();
    private readonly Stopwatch _watch;

    private ChildProcess(Process process, string url, Stopwatch watch)
    {
        _process = process;
        _watch = watch;
        Url = url;
    }

    public string Url { get; }

    /// <summary>Milliseconds from the start of the process to its first successful response at the probe.</summary>
    public double StartMilliseconds { get; private set; }

    /// <summary>Time since the process was started.</summary>
    public TimeSpan Elapsed => _watch.Elapsed;

    /// <summary>Its output so far, including errors.</summary>
    public string Output
    {
        get { lock (_output) return _output.ToString(); }
    }

    public static async Task<ChildProcess> StartAsync(string fileName, IReadOnlyList<string> arguments, string url, string probe,
        IReadOnlyDictionary<string, string>? environment = null)
    {
        var start = new ProcessStartInfo(fileName) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        foreach (var (name, value) in environment ?? new Dictionary<string, string>()) start.Environment[name] = value;
        var watch = Stopwatch.StartNew();
        var process = Process.Start(start) ?? throw new InvalidOperationException($"{fileName} did not start.");
        var child = new ChildProcess(process, url, watch);
        process.OutputDataReceived += child.Keep;
        process.ErrorDataReceived += child.Keep;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        using var client = new HttpClient { Timeout = TimeSpan.FromSeconds(2) };
        while (watch.Elapsed < TimeSpan.FromSeconds(30))
        {
            if (process.HasExited)
            {
                throw new InvalidOperationException(
                    $"{fileName} {string.Join(' ', arguments)} ended with {process.ExitCode}:\n{child.Output}");
            }

            try
            {
                using var response = await client.GetAsync(new Uri(url + probe));
                child.StartMilliseconds = watch.Elapsed.TotalMilliseconds;
                return child;
            }
            catch (HttpRequestException)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, CancellationToken.None);
            }
        }
        child.Dispose();
        throw new InvalidOperationException($"{fileName} did not respond at {url}{probe}:\n{child.Output}");
    }

    private void Keep(object sender, DataReceivedEventArgs line)
    {
        lock (_output) _output.AppendLine(line.Data);
    }

    /// <summary>User and system time so far.</summary>
    public TimeSpan ProcessorTime()
    {
        _process.Refresh();
        return _process.TotalProcessorTime;
    }

    /// <summary>Resident bytes now.</summary>
    public long ResidentBytes()
    {
        foreach (var line in File.ReadLines($"/proc/{_process.Id}/status"))
        {
            if (line.StartsWith("VmRSS:", StringComparison.Ordinal))
            {
                return long.Parse(line.AsSpan(6).Trim().ToString().Split(' ')[0], CultureInfo.InvariantCulture) * 1024;
            }
        }
        return 0;
    }

    public static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    public void Dispose()
    {
        try
        {
            if (!_process.HasExited) _process.Kill();
            _process.WaitForExit(5000);
        }
        catch (InvalidOperationException)
        {
            // Already exited.
        }
        _process.Dispose();
    }
}
