using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Fairlead.Tests.Common;

/// <summary>
/// A Redis of the tests' own, on a free port of the loopback address, that stores nothing on disk. A test fails where redis-server is not
/// installed.
/// </summary>
internal sealed class PrivateRedis : IDisposable
{
    public const string Password = "p@ss/word of tests";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-redis-").FullName;
    private Process? _process;

    private PrivateRedis(int port) => Port = port;

    public int Port { get; }

    public string ConnectionString => $"redis://:{Uri.EscapeDataString(Password)}@127.0.0.1:{Port.ToString(CultureInfo.InvariantCulture)}/0";

    /// <summary>The same in the words of the driver, so that options can follow.</summary>
    public string Words => $"127.0.0.1:{Port.ToString(CultureInfo.InvariantCulture)},password={Password}";

    /// <summary>Starts one.</summary>
    public static PrivateRedis Start()
    {
        // Another program may take the free port first.
        for (var attempt = 1; ; attempt++)
        {
            var server = new PrivateRedis(FreePort());
            try
            {
                server.Resume();
                return server;
            }
            catch (InvalidOperationException) when (attempt < 5)
            {
                server.Dispose();
            }
            catch
            {
                server.Dispose();
                throw;
            }
        }
    }

    /// <summary>Starts it again on the same port, empty.</summary>
    public void Resume()
    {
        var start = new ProcessStartInfo("redis-server") { WorkingDirectory = _folder, RedirectStandardOutput = true, RedirectStandardError = true };
        // No file of the machine's own configuration is read.
        string[] arguments =
        [
            "--port", Port.ToString(CultureInfo.InvariantCulture), "--bind", "127.0.0.1", "--requirepass", Password, "--save", "", "--appendonly", "no",
            "--daemonize", "no", "--dir", _folder,
        ];
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        var log = new StringBuilder();
        // Not disposed of: later lines set it too.
        var ended = new ManualResetEventSlim();
        var isReady = false;
        var process = new Process { StartInfo = start };
        process.OutputDataReceived += (_, line) =>
        {
            lock (log) log.Append(line.Data).Append('\n');
            if (line.Data is null) ended.Set();
            else if (line.Data.Contains("Ready to accept connections", StringComparison.Ordinal))
            {
                Volatile.Write(ref isReady, true);
                ended.Set();
            }
        };
        process.ErrorDataReceived += (_, _) => { };
        process.Start();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        _process = process;
        if (ended.Wait(Patience) && Volatile.Read(ref isReady)) return;
        Stop();
        lock (log) throw new InvalidOperationException("Redis did not start:\n" + log);
    }

    /// <summary>Ends it and all its connections at once; what it had is lost.</summary>
    public void Stop()
    {
        if (_process is not { } process) return;
        _process = null;
        using (process)
        {
            if (!process.HasExited) process.Kill();
            process.WaitForExit(Patience);
        }
    }

    /// <summary>Lets it hang: connections stay open and get no response.</summary>
    public void Suspend() => Signal("STOP");

    /// <summary>Ends a hang.</summary>
    public void Continue() => Signal("CONT");

    public void Dispose()
    {
        Stop();
        Directory.Delete(_folder, recursive: true);
    }

    private void Signal(string signal)
    {
        using var kill = Process.Start("kill", ["-" + signal, _process!.Id.ToString(CultureInfo.InvariantCulture)]);
        kill.WaitForExit(Patience);
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
