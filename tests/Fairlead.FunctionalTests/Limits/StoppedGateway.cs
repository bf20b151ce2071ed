using Fairlead.FunctionalTests.Common;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.FunctionalTests.Limits;

/// <summary>
/// A gateway whose clock moves only when a test says so. Its model <c>echo</c> returns the input at once, and costs 1 and 10 dollars per
/// million tokens of input and output; <c>vectors</c> makes embeddings and costs 1 dollar.
/// </summary>
public sealed class StoppedGateway : IAsyncLifetime
{
    public FakeTimeProvider Clock { get; } = new(new DateTimeOffset(2026, 11, 23, 12, 0, 0, TimeSpan.Zero));

    public TestGateway Gateway { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Gateway = await TestGateway.StartAsync(
        """
        fairlead:
          models:
            echo: { contextWindow: 100000, maxOutputTokens: 8000, tokenizer: o200k, prices: { input: 1, output: 10 }, deployments: [{ provider: simulated, model: sim-echo }] }
            vectors: { kind: embedding, contextWindow: 8000, tokenizer: o200k, prices: { input: 1, output: 0 }, deployments: [{ provider: simulated, model: sim-embed }] }
        """,
        (builder, _) => builder.Services.AddSingleton<TimeProvider>(Clock));

    public ValueTask DisposeAsync() => Gateway.DisposeAsync();

    /// <summary>Moves the clock to this long before the next midnight in UTC.</summary>
    public void AdvanceToMidnight(TimeSpan before)
    {
        var now = Clock.GetUtcNow();
        var target = new DateTimeOffset(now.UtcDateTime.Date, TimeSpan.Zero).AddDays(1) - before;
        if (target < now) target = target.AddDays(1);
        Clock.Advance(target - now);
    }
}
