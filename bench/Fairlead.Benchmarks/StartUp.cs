using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Fairlead.Benchmarks;

/// <summary>
/// How long a new user waits: from starting the published program in an empty folder to the complete response of the first chat call, with
/// the printed key.
/// </summary>
internal static partial class StartUp
{
    private const string Call = """{"model":"sim-fast","messages":[{"role":"user","content":"Hello"}]}""";

    public static async Task<string> MeasureAsync(string server, int rounds)
    {
        var starts = new List<(double Live, double Chat, double Cpu)>();
        for (var round = 0; round < rounds; round++) starts.Add(await StartAsync(server));
        var report = new StringBuilder();
        report.AppendLine("### Start");
        report.AppendLine();
        report.AppendLine(CultureInfo.InvariantCulture,
            $"{rounds} first starts in an empty folder (schema, keys), one after the other; {Load()}.");
        report.AppendLine();
        report.AppendLine("| | median ms | min ms | max ms |");
        report.AppendLine("|---|---|---|---|");
        Row(report, "to the first response of `/livez`", starts, start => start.Live);
        Row(report, "to the first chat response", starts, start => start.Chat);
        Row(report, "processor time until then", starts, start => start.Cpu);
        report.AppendLine();
        return report.ToString();
    }

    private static async Task<(double Live, double Chat, double Cpu)> StartAsync(string server)
    {
        var folder = Directory.CreateTempSubdirectory("fairlead-start-");
        try
        {
            var environment = new Dictionary<string, string>
            {
                // The folder is empty: the start creates everything. Otherwise the file would be looked for in this program's folder.
                ["FAIRLEAD_DATA"] = Path.Combine(folder.FullName, "data"),
                ["FAIRLEAD_ADMIN_KEY"] = "bench-administration-key-0001",
                ["Logging__LogLevel__Default"] = "Warning",
            };
            var url = $"http://127.0.0.1:{ChildProcess.FreePort()}";
            using var program = await ChildProcess.StartAsync("dotnet", [server, "--urls", url], url, "/livez", environment);
            Match key;
            while (!(key = Key().Match(program.Output)).Success)
            {
                if (program.Elapsed > TimeSpan.FromSeconds(30))
                    throw new InvalidOperationException($"No key was printed:\n{program.Output}");
                await Task.Delay(TimeSpan.FromMilliseconds(1), TimeProvider.System, CancellationToken.None);
            }
            using var client = new HttpClient();
            client.DefaultRequestHeaders.Authorization = new("Bearer", key.Value);
            using var response = await client.PostAsync(new Uri(url + "/v1/chat/completions"),
                new StringContent(Call, Encoding.UTF8, "application/json"));
            var answer = await response.Content.ReadAsStringAsync();
            var elapsed = program.Elapsed.TotalMilliseconds;
            if (!response.IsSuccessStatusCode) throw new InvalidOperationException(answer);
            return (program.StartMilliseconds, elapsed, program.ProcessorTime().TotalMilliseconds);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static void Row(StringBuilder report, string name, List<(double Live, double Chat, double Cpu)> starts,
        Func<(double Live, double Chat, double Cpu), double> of)
    {
        var sorted = starts.Select(of).Order().ToArray();
        report.AppendLine(CultureInfo.InvariantCulture, $"| {name} | {sorted[sorted.Length / 2]:0} | {sorted[0]:0} | {sorted[^1]:0} |");
    }

    private static string Load() => File.Exists("/proc/loadavg")
        ? $"load average of the machine {File.ReadAllText("/proc/loadavg").Split(' ')[0]}"
        : "load average of the machine unknown";

    [GeneratedRegex("fl_[A-Za-z0-9_]+")]
    private static partial Regex Key();
}
