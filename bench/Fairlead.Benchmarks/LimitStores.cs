using System.Globalization;
using System.Text;
using Fairlead.Tests.Common;

namespace Fairlead.Benchmarks;

/// <summary>
/// What shared stores cost a call with eight limits: the gateway's processor time per call with PostgreSQL and Redis, and with SQLite alone.
/// Both gateways are of the same build and take turns. The stores are started for the run; their own time does not count.
/// </summary>
internal static class LimitStores
{
    /// <param name="report">Gets the table.</param>
    /// <param name="startAsync">
    /// Starts a gateway with its data in a folder of this name, with more lines of configuration and more of the environment.
    /// </param>
    /// <param name="adminKey">The key of the administrator.</param>
    /// <param name="body">The body of a call.</param>
    /// <param name="rounds">Pairs of rounds.</param>
    /// <param name="seconds">Length of a round.</param>
    /// <param name="warmUp">Before the first one.</param>
    public static async Task MeasureAsync(StringBuilder report,
        Func<string, string, IReadOnlyDictionary<string, string>, Task<ChildProcess>> startAsync, string adminKey, string body, int rounds,
        TimeSpan seconds, TimeSpan warmUp)
    {
        using var postgres = PrivatePostgres.Start();
        using var redis = PrivateRedis.Start();
        using var alone = await startAsync("alone", "", new Dictionary<string, string>());
        using var shared = await startAsync("shared", "redis: { connectionString: \"${BENCH_REDIS}\" }", new Dictionary<string, string>
        {
            ["BENCH_REDIS"] = redis.ConnectionString,
            ["Fairlead__Storage__ConnectionString"] = postgres.ConnectionString,
        });
        var ways = new[]
        {
            new Way("SQLite, limits in process", alone, await MakeKeyAsync(alone, adminKey)),
            new Way("PostgreSQL and Redis", shared, await MakeKeyAsync(shared, adminKey)),
        };
        foreach (var way in ways) await Load.CallsAsync(way.Url, way.Key, body, 64, warmUp);
        long errors = 0;
        for (var round = 0; round < rounds; round++)
        {
            foreach (var way in round % 2 == 0 ? ways : Enumerable.Reverse(ways))
            {
                var before = way.Process.ProcessorTime();
                var result = await Load.CallsAsync(way.Url, way.Key, body, 64, seconds);
                way.Cpu.Add((way.Process.ProcessorTime() - before).TotalMicroseconds / Math.Max(1, result.Calls));
                way.PerSecond.Add(result.PerSecond);
                errors += result.Errors;
            }
        }

        report.AppendLine("### Limits: SQLite alone and shared stores, eight limits, non-stream chat, 2 KB, 64 connections");
        report.AppendLine();
        report.AppendLine("| | CPU µs per call | calls/s |");
        report.AppendLine("|---|---|---|");
        foreach (var way in ways)
        {
            report.AppendLine(CultureInfo.InvariantCulture,
                $"| {way.Name} | {LimitLoad.Median(way.Cpu):0.0} | {LimitLoad.Median(way.PerSecond):0} |");
        }
        report.AppendLine();
        report.AppendLine(CultureInfo.InvariantCulture,
            $"PostgreSQL and Redis / SQLite: {LimitLoad.PairedRatio(ways[1].Cpu, ways[0].Cpu):0.00} × (goal at most 1.30), "
            + $"of {rounds} pairs of rounds. Calls counted in Redis: {await ReservationsAsync(shared)}. Errors: {errors}.");
        report.AppendLine();
    }

    private static async Task<string> MakeKeyAsync(ChildProcess gateway, string adminKey)
    {
        using var client = new HttpClient { BaseAddress = new Uri(gateway.Url) };
        client.DefaultRequestHeaders.Authorization = new("Bearer", adminKey);
        return await LimitedKeys.MakeAsync(client, 0, LimitedKeys.Limits);
    }

    /// <summary>Shows that the calls did use Redis.</summary>
    private static async Task<string> ReservationsAsync(ChildProcess gateway)
    {
        using var client = new HttpClient();
        var metrics = await client.GetStringAsync(new Uri(gateway.Url + "/metrics"));
        return string.Join(", ", metrics.Split('\n').Where(line => line.StartsWith("fairlead_redis_reservations", StringComparison.Ordinal)));
    }

    private sealed record Way(string Name, ChildProcess Process, string Key)
    {
        public string Url => Process.Url + "/v1/chat/completions";

        public List<double> Cpu { get; } = [];

        public List<double> PerSecond { get; } = [];
    }
}
