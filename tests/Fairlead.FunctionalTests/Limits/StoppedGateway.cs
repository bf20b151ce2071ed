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
    public StoppedGateway()
        : this(new DateTimeOffset(2026, 11, 23, 12, 0, 0, TimeSpan.Zero))
    {
    }

    private StoppedGateway(DateTimeOffset now) => Clock = new FakeTimeProvider(now);

    public FakeTimeProvider Clock { get; }

    public TestGateway Gateway { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Gateway = await TestGateway.StartAsync(
        """
        fairlead:
          models:
            echo: { contextWindow: 100000, maxOutputTokens: 8000, tokenizer: o200k, prices: { input: 1, output: 10 }, deployments: [{ provider: simulated, model: sim-echo }] }
            vectors: { kind: embedding, contextWindow: 8000, tokenizer: o200k, prices: { input: 1, output: 0 }, deployments: [{ provider: simulated, model: sim-embed }] }
        """,
        (builder, _) => builder.Services.AddSingleton<TimeProvider>(Clock));

    /// <summary>One that starts at another time: the timers of hours take long to run.</summary>
    public static async Task<StoppedGateway> StartAsync(DateTimeOffset now)
    {
        var gateway = new StoppedGateway(now);
        await gateway.InitializeAsync();
        return gateway;
    }

    public ValueTask DisposeAsync() => Gateway.DisposeAsync();

    /// <summary>A client with a key of its own.</summary>
    /// <param name="limits">Members of the limits of the key.</param>
    public async Task<HttpClient> ClientAsync(string limits)
    {
        var (secret, _) = await Gateway.MakeKeyAsync($"\"scopes\":[\"chat\",\"embeddings\"],\"limits\":{{{limits}}}");
        return Gateway.MakeClient(secret);
    }
}
