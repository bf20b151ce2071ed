using System.Net.Http.Headers;
using System.Text.Json;
using Fairlead.Catalogue;
using Fairlead.Limits;

namespace Fairlead.Server.Failover;

/// <summary>Compares what was charged with what the providers reported.</summary>
internal static class FailoverAccounting
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    // Amounts are recorded in picodollars.
    private const decimal Rounding = 0.000000000001m;

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);

    /// <returns>What is wrong; null if nothing is.</returns>
    public static async Task<string?> CheckAsync(
        FailoverWorld world, FailoverTarget target, FailoverResponse response, TimeProvider time, CancellationToken cancellationToken)
    {
        // The record reaches the database shortly after the response.
        var since = time.GetTimestamp();
        JsonElement? record;
        while ((record = await FindRecordAsync(world, cancellationToken)) is null)
        {
            if (time.GetElapsedTime(since) > Patience) return "there is no audit record of the call";
            await Task.Delay(Pause, time, cancellationToken);
        }
        var attempts = record.Value.GetProperty("attempts").EnumerateArray().ToList();
        var received = world.Upstream.Received;
        if (attempts.Count != received.Count)
            return $"the record has {attempts.Count} attempts, but the providers got {received.Count} requests";
        if (attempts.Sum(attempt => attempt.GetProperty("cost_usd").GetDecimal()) != record.Value.GetProperty("cost_usd").GetDecimal())
            return "the attempts do not add up to the cost of the call";
        for (var i = 0; i < attempts.Count; i++)
        {
            var served = received[i].Fault.Kind == SimulatedFaultKind.None && response.Error is null;
            var usage = attempts[i].GetProperty("usage");
            var (input, output) = (usage.GetProperty("input_tokens").GetInt64(), usage.GetProperty("output_tokens").GetInt64());
            if (served ? (input, output) != (SimulatedText.InputTokens, SimulatedText.OutputTokens) : (input, output) != (0, 0))
                return $"attempt {i + 1} is charged {input} and {output} tokens, which its provider did not report";
            var (cost, name) = (attempts[i].GetProperty("cost_usd").GetDecimal(), attempts[i].GetProperty("deployment").GetString()!);
            if (PriceOf(world, target, name, input, output) is { } price && Math.Abs(price - cost) > Rounding)
                return $"attempt {i + 1} costs {cost} USD instead of {price}";
        }
        if (world.Services.GetService<InMemoryTokenLedger>()?.Totals() is { } totals
            && (totals.Open, totals.HeldTokens, totals.HeldUsd) != (0, 0L, 0m))
        {
            return "a reservation is still held after the end of the call";
        }
        return null;
    }

    // Null for prices that depend on more than tokens.
    private static decimal? PriceOf(FailoverWorld world, FailoverTarget target, string deployment, long input, long output)
    {
        var prices = world.Services.GetRequiredService<ICatalogue>().Current.Find(target.Name)!.Deployments
            .First(each => each.Name == deployment).Prices.Entries;
        if (prices.Count != 1 || prices[0].Prices.ServiceTiers.All.Count > 0) return null;
        var only = prices[0].Prices;
        return only.Tiers.Any(tier => tier.AboveInputTokens < input) ? null : ((input * only.Input) + (output * only.Output)) / 1_000_000m;
    }

    private static async Task<JsonElement?> FindRecordAsync(FailoverWorld world, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/admin/v1/audit?limit=10");
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", world.AdminKey);
        using var response = await world.Http.SendAsync(request, cancellationToken);
        using var document = JsonDocument.Parse(await response.Content.ReadAsStringAsync(cancellationToken));
        if (!document.RootElement.TryGetProperty("data", out var data) || data.GetArrayLength() == 0) return null;
        return data[0].Clone();
    }
}
