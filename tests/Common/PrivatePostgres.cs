using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Fairlead.Tests.Common;

/// <summary>
/// A PostgreSQL of the tests' own, in a temporary folder and on a free port of the loopback address. The server refuses to run as root; it
/// then runs as the user that Debian's package makes.
/// </summary>
internal sealed class PrivatePostgres : IDisposable
{
    public const string Password = "p@ss/word of tests";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly string _binaries;
    private readonly string _folder;
    private readonly int _port;
    private Process? _process;

    private PrivatePostgres(string binaries, string folder, int port)
    {
        _binaries = binaries;
        _folder = folder;
        _port = port;
    }

    public string ConnectionString => $"Host=127.0.0.1;Port={_port};Username=fairlead;Password={Password};Database=postgres";

    /// <summary>Folder of the server's programs, or null where it is not installed.</summary>
    public static string? FindBinaries()
    {
        string[] all = Directory.Exists("/usr/lib/postgresql") ? Directory.GetDirectories("/usr/lib/postgresql") : [];
        var versions = all.OrderByDescending(path => int.TryParse(Path.GetFileName(path), out var version) ? version : 0);
        return versions.Select(path => Path.Combine(path, "bin")).Concat((Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator))
            .FirstOrDefault(path => path.Length > 0 && File.Exists(Path.Combine(path, "initdb")) && File.Exists(Path.Combine(path, "postgres")));
    }

    /// <summary>Makes and starts one.</summary>
    public static PrivatePostgres Start()
    {
        var binaries = FindBinaries() ?? throw new InvalidOperationException("PostgreSQL is not installed.");
        var folder = Directory.CreateTempSubdirectory("fairlead-postgres-").FullName;
        var server = new PrivatePostgres(binaries, folder, FreePort());
        try
        {
            File.WriteAllText(Path.Combine(folder, "password"), Password);
            if (Environment.UserName == "root") server.Run("chown", ["-R", "postgres", folder], asRoot: true);
            server.Run(Path.Combine(binaries, "initdb"), ["-D", server.Data, "-U", "fairlead", "--pwfile", Path.Combine(folder, "password"), "--auth=scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"]);
            server.Resume();
            return server;
        }
        catch
        {
            server.Dispose();
            throw;
        }
    }

    /// <summary>Starts it again, on the same port and data.</summary>
    public void Resume()
    {
        var start = StartInfo(Path.Combine(_binaries, "postgres"),
        [
            "-D", Data, "-p", _port.ToString(null, null), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "full_page_writes=off",
            "-c", "max_connections=300", "-c", "log_statement=none",
        ]);
        start.RedirectStandardError = true;
        var log = new StringBuilder();
        using var ready = new ManualResetEventSlim();
        var process = new Process { StartInfo = start, EnableRaisingEvents = true };
        process.ErrorDataReceived += (_, line) =>
        {
            lock (log) log.Append(line.Data).Append('\n');
            if (line.Data is null || line.Data.Contains("ready to accept connections", StringComparison.Ordinal)) Set(ready);
        };
        process.Start();
        process.BeginErrorReadLine();
        _process = process;
        if (ready.Wait(Patience) && !process.HasExited) return;
        lock (log) throw new InvalidOperationException("PostgreSQL did not start:\n" + log);
    }

    /// <summary>Ends it and all its connections at once.</summary>
    public void Stop()
    {
        if (_process is not { } process) return;
        _process = null;
        using (process)
        {
            if (process.HasExited) return;
            // "Immediate": what it had not written is recovered at the next start.
            Run("kill", ["-QUIT", process.Id.ToString(null, null)], asRoot: true);
            if (!process.WaitForExit(Patience)) process.Kill(entireProcessTree: true);
        }
    }

    public void Dispose()
    {
        Stop();
        Directory.Delete(_folder, recursive: true);
    }

    private string Data => Path.Combine(_folder, "data");

    private static void Set(ManualResetEventSlim signal)
    {
        try
        {
            signal.Set();
        }
        catch (ObjectDisposedException)
        {
            // A later line of the log.
        }
    }

    private void Run(string program, string[] arguments, bool asRoot = false)
    {
        var start = asRoot ? new ProcessStartInfo(program, arguments) { WorkingDirectory = _folder } : StartInfo(program, arguments);
        start.RedirectStandardOutput = start.RedirectStandardError = true;
        using var process = Process.Start(start)!;
        process.OutputDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
        var error = process.StandardError.ReadToEnd();
        if (!process.WaitForExit(Patience) || process.ExitCode != 0) throw new InvalidOperationException($"{program} failed: {error}");
    }

    private ProcessStartInfo StartInfo(string program, string[] arguments) => Environment.UserName == "root"
        ? new ProcessStartInfo("setpriv", ["--reuid=postgres", "--regid=postgres", "--clear-groups", program, .. arguments]) { WorkingDirectory = _folder }
        : new ProcessStartInfo(program, arguments) { WorkingDirectory = _folder };

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
