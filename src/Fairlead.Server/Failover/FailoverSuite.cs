using System.Text.Json;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Routing;

namespace Fairlead.Server.Failover;

/// <summary>
/// Runs cases against a configuration: 1. each with a gateway of its own, so that no breaker and no hold of one case is in the next,
/// 2. send the request, 3. judge the response. Thread-safe.
/// </summary>
internal sealed class FailoverSuite(GatewayConfiguration configuration, FailoverClient client, TimeProvider time)
{
    /// <summary>Calls while the flapping deployment is down.</summary>
    public const int CallsWhileDown = 8;

    /// <summary>A deployment that has recovered must get calls again within this time.</summary>
    public static readonly TimeSpan ReturnLimit = TimeSpan.FromSeconds(15);

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    /// <summary>The chat models of a catalogue that a run tests, by default those that the configuration lists.</summary>
    /// <param name="configuration">The configuration.</param>
    /// <param name="models">All models.</param>
    /// <param name="names">Names that are wanted; empty for the default.</param>
    /// <param name="unknown">Wanted names that are no chat models.</param>
    public static IReadOnlyList<FailoverTarget> TargetsOf(
        GatewayConfiguration configuration, IReadOnlyList<CatalogueModel> models, IReadOnlyList<string> names,
        out IReadOnlyList<string> unknown)
    {
        var chat = models.Where(model => model.Kind == ModelKind.Chat && model.Deployments.Count > 0).ToList();
        unknown = [.. names.Where(name => !chat.Exists(model => model.Id == name))];
        var wanted = names.Count > 0 ? chat.Where(model => names.Contains(model.Id))
            : configuration.Models.Count > 0 ? chat.Where(model => configuration.Models.ContainsKey(model.Id))
            // Without a list, the providers offer all models that are known of their vendors: one of each is enough.
            : chat.DistinctBy(model => string.Join(' ', model.Deployments.Select(deployment => deployment.ProviderName)));
        return [.. wanted.Select(model => FailoverTarget.Of(configuration, models, model))];
    }

    /// <summary>Runs the cases, several at once, and reports each in their order.</summary>
    /// <param name="cases">The cases.</param>
    /// <param name="targets">The models.</param>
    /// <param name="report">Gets each result, one at a time.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public async Task<IReadOnlyList<FailoverResult>> RunAsync(IReadOnlyList<FailoverCase> cases, IReadOnlyList<FailoverTarget> targets,
        Action<FailoverResult> report, CancellationToken cancellationToken)
    {
        // Most of the time, a case waits for a timeout.
        using var places = new SemaphoreSlim(Math.Clamp(Environment.ProcessorCount, 2, 8));
        var running = new List<Task<FailoverResult>>();
        foreach (var target in targets)
        {
            foreach (var test in cases)
            {
                running.Add(RunInPlaceAsync(places, test, target, isStream: false, cancellationToken));
                running.Add(RunInPlaceAsync(places, test, target, isStream: true, cancellationToken));
            }
        }
        var results = new List<FailoverResult>();
        try
        {
            foreach (var run in running)
            {
                results.Add(await run);
                report(results[^1]);
            }
        }
        finally
        {
            // After a failure of one, the others still use the places.
            await ((Task)Task.WhenAll(running)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        return results;
    }

    /// <summary>Runs one case.</summary>
    public async Task<FailoverResult> RunAsync(FailoverCase test, FailoverTarget target, bool isStream, CancellationToken cancellationToken)
    {
        // 1.
        await using var world = await FailoverWorld.StartAsync(configuration, test, time, cancellationToken);
        var since = time.GetTimestamp();
        FailoverVerdict verdict;
        try
        {
            // 2. and 3.
            verdict = test.IsFlapping
                ? await FlapAsync(world, test, target, isStream, cancellationToken)
                : await CallAsync(world, test, target, isStream, cancellationToken);
        }
        catch (Exception failure)
            when (failure is HttpRequestException or IOException or JsonException or KeyNotFoundException or InvalidOperationException)
        {
            verdict = FailoverVerdict.Wrong($"the response cannot be read: {failure.Message}");
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            verdict = FailoverVerdict.Wrong($"there was no end of the response after {target.Limit.TotalSeconds:0} s");
        }
        return new(test.Name, target.Name, isStream, verdict, world.Upstream.Received.Count, time.GetElapsedTime(since));
    }

    private async Task<FailoverResult> RunInPlaceAsync(
        SemaphoreSlim places, FailoverCase test, FailoverTarget target, bool isStream, CancellationToken cancellationToken)
    {
        await places.WaitAsync(cancellationToken);
        try
        {
            return await RunAsync(test, target, isStream, cancellationToken);
        }
        finally
        {
            places.Release();
        }
    }

    private async Task<FailoverVerdict> CallAsync(
        FailoverWorld world, FailoverCase test, FailoverTarget target, bool isStream, CancellationToken cancellationToken)
    {
        using var late = new CancellationTokenSource(target.Limit, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellationToken);
        var response = await client.SendAsync(world.Http, world.Key, target.Name, isStream, either.Token);
        var verdict = FailoverVerdict.Of(test, response, isStream, target);
        // The text of one stream, although its provider was lost in the middle: another request follows that one.
        if (verdict.Result == "text" && isStream && world.Upstream.Received.SkipLast(1).Any(static entry => entry.Fault.IsMidStream))
            verdict = verdict with { Result = "rescued" };
        if (!verdict.Passed || !test.ChecksAccounting) return verdict;
        var wrong = await FailoverAccounting.CheckAsync(world, target, response, time, cancellationToken);
        return wrong is null ? verdict : FailoverVerdict.Wrong(wrong);
    }

    private async Task<FailoverVerdict> FlapAsync(
        FailoverWorld world, FailoverCase test, FailoverTarget target, bool isStream, CancellationToken cancellationToken)
    {
        var since = time.GetTimestamp();
        for (var i = 0; i < CallsWhileDown; i++)
        {
            var verdict = await CallAsync(world, test, target, isStream, cancellationToken);
            if (!verdict.Passed) return verdict;
        }
        if (CheckLeftAlone(world, time.GetElapsedTime(since)) is { } wrong) return FailoverVerdict.Wrong(wrong);
        world.Recover();
        since = time.GetTimestamp();
        while (true)
        {
            var verdict = await CallAsync(world, test, target, isStream, cancellationToken);
            if (!verdict.Passed) return verdict;
            var (request, fault) = world.Upstream.Received[^1];
            if (verdict.Result == "text" && request.IsPrimary && fault.Kind == SimulatedFaultKind.None) return verdict;
            if (time.GetElapsedTime(since) > ReturnLimit)
                return FailoverVerdict.Wrong($"the primary deployment got no call within {ReturnLimit.TotalSeconds:0} s of its recovery");
            await Task.Delay(Pause, time, cancellationToken);
        }
    }

    private string? CheckLeftAlone(FailoverWorld world, TimeSpan elapsed) => CheckLeftAlone(
        FailoverConfiguration.Of(configuration, "").Breaker, elapsed,
        world.Upstream.Received.Count(static entry => entry.Request.IsPrimary));

    /// <summary>Whether a deployment that is down got only the failures that open its breaker, and then one test in each interval.</summary>
    /// <param name="breaker">The settings in force.</param>
    /// <param name="elapsed">How long it has been down.</param>
    /// <param name="received">Requests that it got.</param>
    /// <returns>What is wrong; null if nothing is.</returns>
    internal static string? CheckLeftAlone(BreakerConfig breaker, TimeSpan elapsed, int received)
    {
        if (!breaker.Enabled) return null;
        var allowed = breaker.Failures + 1 + (int)(elapsed / breaker.Interval);
        return received <= allowed ? null
            : $"the primary deployment got {received} requests while it was down, but its breaker allows {allowed}";
    }
}
