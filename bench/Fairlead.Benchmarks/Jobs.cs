using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Fairlead.Benchmarks;

/// <summary>
/// The cost of running a call as a job (a durable row, a lease, a stored result and a second request that waits for it), compared with the
/// same call awaited, one after the other.
/// </summary>
internal static class Jobs
{
    private const int Warm = 300;
    private const int Measured = 500;

    public static async Task MeasureAsync(StringBuilder report, string key, ChildProcess fairlead)
    {
        using var client = new HttpClient { BaseAddress = new Uri(fairlead.Url) };
        client.DefaultRequestHeaders.Authorization = new("Bearer", key);
        await TimeAsync(Warm, () => SyncAsync(client));
        await TimeAsync(Warm, () => JobAsync(client));
        var sync = await TimeAsync(Measured, () => SyncAsync(client));
        var job = await TimeAsync(Measured, () => JobAsync(client));
        report.AppendLine(CultureInfo.InvariantCulture, $"### Jobs on SQLite, {Measured} one after the other");
        report.AppendLine();
        report.AppendLine("| | p50 ms | p99 ms |");
        report.AppendLine("|---|---|---|");
        report.AppendLine(CultureInfo.InvariantCulture, $"| awaited | {At(sync, 0.5):0.00} | {At(sync, 0.99):0.00} |");
        report.AppendLine(CultureInfo.InvariantCulture,
            $"| as a job, until its result is available | {At(job, 0.5):0.00} | {At(job, 0.99):0.00} |");
        report.AppendLine();
        report.AppendLine(CultureInfo.InvariantCulture, $"Added p50: {At(job, 0.5) - At(sync, 0.5):0.00} ms (goal at most 5).");
        report.AppendLine();
    }

    private static async Task<List<double>> TimeAsync(int count, Func<Task> call)
    {
        var times = new List<double>(count);
        for (var i = 0; i < count; i++)
        {
            var since = Stopwatch.GetTimestamp();
            await call();
            times.Add(Stopwatch.GetElapsedTime(since).TotalMilliseconds);
        }
        times.Sort();
        return times;
    }

    private static double At(List<double> sorted, double part) => sorted[(int)(part * (sorted.Count - 1))];

    private static async Task SyncAsync(HttpClient client)
    {
        using var answer = await client.PostAsync(new Uri("/v1/chat/completions", UriKind.Relative), Body());
        answer.EnsureSuccessStatusCode();
    }

    private static async Task JobAsync(HttpClient client)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions") { Content = Body() };
        request.Headers.Add("Prefer", "respond-async");
        using var accepted = await client.SendAsync(request);
        accepted.EnsureSuccessStatusCode();
        using var state = JsonDocument.Parse(
            await client.GetStringAsync(new Uri($"{accepted.Headers.Location}?wait=30", UriKind.Relative)));
        if (state.RootElement.GetProperty("status").GetString() != "completed")
            throw new InvalidOperationException(state.RootElement.GetRawText());
    }

    private static StringContent Body() => new(
        """{"model":"sim-echo","max_tokens":100,"messages":[{"role":"user","content":"How is a chain cable paid out?"}]}""",
        Encoding.UTF8, "application/json");
}
