using System.Diagnostics;
using System.Net;
using System.Text;
using System.Text.RegularExpressions;

namespace Fairlead.FunctionalTests;

/// <summary>The real program in a separate process, on a free port and with its own folder.</summary>
internal sealed partial class ServerProcess : IAsyncDisposable
{
    private readonly StringBuilder _output = new();
    private readonly StringBuilder _error = new();
    private readonly List<(Func<string, bool> Wanted, TaskCompletionSource<string> Seen)> _waiting = [];
    private readonly List<string> _lines = [];

    private ServerProcess(Process process, string folder)
    {
        Process = process;
        Folder = folder;
    }

    public Process Process { get; }

    public string Folder { get; }

    public string Output
    {
        get
        {
            lock (_output) return _output.ToString();
        }
    }

    public string Error
    {
        get
        {
            lock (_error) return _error.ToString();
        }
    }

    public string Address { get; private set; } = "";

    public HttpClient Client { get; } = new(new SocketsHttpHandler { AllowAutoRedirect = false });

    /// <summary>The program in its own output folder, beside which no test's library lies.</summary>
    private static string ProgramPath { get; } = Path.GetFullPath(Path.Combine(
        AppContext.BaseDirectory, "..", "..", "Fairlead.Server", Path.GetFileName(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory)), "Fairlead.Server.dll"));

    /// <summary>Starts the program with <paramref name="arguments"/>; does not wait.</summary>
    public static ServerProcess Start(string folder, IEnumerable<string> arguments, params (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = folder };
        start.ArgumentList.Add(ProgramPath);
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        foreach (var name in start.Environment.Keys.Where(k => k.StartsWith("FAIRLEAD", StringComparison.OrdinalIgnoreCase) || k.EndsWith("_API_KEY", StringComparison.Ordinal) || k.StartsWith("OTEL_", StringComparison.Ordinal)).ToArray()) start.Environment.Remove(name);
        foreach (var (name, value) in environment) start.Environment[name] = value;
        var server = new ServerProcess(new Process { StartInfo = start }, folder);
        server.Process.OutputDataReceived += (_, line) => server.Take(server._output, line.Data);
        server.Process.ErrorDataReceived += (_, line) => server.Take(server._error, line.Data);
        server.Process.Start();
        server.Process.BeginOutputReadLine();
        server.Process.BeginErrorReadLine();
        return server;
    }

    /// <summary>Starts serving on a free port and waits until it listens.</summary>
    public static async Task<ServerProcess> ServeAsync(string folder, params (string Name, string Value)[] environment)
    {
        var server = Start(folder, ["--urls", "http://127.0.0.1:0"], environment);
        await server.ListeningAsync();
        return server;
    }

    /// <summary>Waits until it listens.</summary>
    public async Task ListeningAsync() => Address = Listens().Match(await LineAsync(line => Listens().IsMatch(line))).Groups[1].Value;

    /// <summary>The first line of output or error that <paramref name="wanted"/> takes, now or when it comes.</summary>
    public async Task<string> LineAsync(Func<string, bool> wanted)
    {
        var seen = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_lines)
        {
            if (_lines.Find(line => wanted(line)) is { } known) return known;
            _waiting.Add((wanted, seen));
        }
        var ended = Process.WaitForExitAsync(TestContext.Current.CancellationToken);
        if (await Task.WhenAny(seen.Task, ended) == ended && !seen.Task.IsCompleted) Assert.Fail("The server ended: " + Output + Error);
        return await seen.Task;
    }

    /// <summary>The key that a first start prints.</summary>
    public async Task<string> ClientKeyAsync() => (await LineAsync(line => line.StartsWith("  Client key", StringComparison.Ordinal))).Split(' ')[^1];

    /// <summary>Ends it as a power cut for the process would: SIGKILL, no handler runs.</summary>
    public async Task KillAsync()
    {
        Process.Kill();
        await Process.WaitForExitAsync(TestContext.Current.CancellationToken);
    }

    /// <summary>Asks it to stop and does not wait.</summary>
    public async Task SignalAsync(string signal)
    {
        using var kill = Process.Start("kill", ["-" + signal, Process.Id.ToString(null, null)]);
        await kill.WaitForExitAsync(TestContext.Current.CancellationToken);
    }

    public async Task<int> ExitAsync()
    {
        await Process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return Process.ExitCode;
    }

    public async Task<int> TerminateAsync()
    {
        await SignalAsync("TERM");
        return await ExitAsync();
    }

    public Task<HttpResponseMessage> GetAsync(string path) => Client.GetAsync(new Uri(Address + path), TestContext.Current.CancellationToken);

    public async Task<string> TextAsync(string path)
    {
        using var response = await GetAsync(path);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        return await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        if (!Process.HasExited)
        {
            Process.Kill(entireProcessTree: true);
            await Process.WaitForExitAsync(CancellationToken.None);
        }
        Process.Dispose();
    }

    private void Take(StringBuilder target, string? line)
    {
        if (line is null) return;
        lock (target) target.Append(line).Append('\n');
        lock (_lines)
        {
            _lines.Add(line);
            for (var i = _waiting.Count - 1; i >= 0; i--)
            {
                if (!_waiting[i].Wanted(line)) continue;
                _waiting[i].Seen.TrySetResult(line);
                _waiting.RemoveAt(i);
            }
        }
    }

    [GeneratedRegex(@"^Fairlead \S+ listens on (http://\S+)")]
    private static partial Regex Listens();
}
