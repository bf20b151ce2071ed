using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;
using Fairlead.Tests.Common;

namespace Fairlead.FunctionalTests.Generations;

/// <summary>A run that cannot renew its lease on PostgreSQL: it stops by its own clock before another node could take it over.</summary>
public sealed class LeaseTests : IAsyncLifetime
{
    private FakeUpstream _upstream = null!;
    private TestGateway _gateway = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _gateway = await TestGateway.StartAsync(StorageProvider.Postgres, _upstream.Yaml() + "\n  jobs: { lease: 2s, maxRuns: 1, workers: 2 }\n");
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _upstream.DisposeAsync();
    }

    [Fact]
    public async Task DatabaseUnavailable_LongerThanLease_SecondRunCompletesAndBothAreCharged()
    {
        var begun = new TaskCompletionSource();
        var stopped = new TaskCompletionSource();
        var calls = 0;
        _upstream.Answer = async context =>
        {
            var call = Interlocked.Increment(ref calls);
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk($$"""{"content":"run {{call}}"}"""));
            if (call == 1)
            {
                begun.SetResult();
                using var registration = context.RequestAborted.Register(stopped.SetResult);
                await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
            }
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
        };
        var accepted = await _gateway.Client.PostForJsonAsync("/v2/generations", """{"model":"m","input":"x","delivery":{"mode":"job"}}""");
        var id = accepted.GetProperty("id").GetString()!;
        await begun.Task.WaitAsync(Cancel);
        await using (await _gateway.BlockWritesAsync()) await stopped.Task.WaitAsync(TimeSpan.FromSeconds(60), TimeProvider.System, Cancel);

        JsonElement state;
        do state = JsonDocument.Parse(await _gateway.Client.GetStringAsync(new Uri($"/v2/generations/{id}?wait=30", UriKind.Relative), Cancel)).RootElement;
        while (state.GetProperty("status").GetString() is "queued" or "in_progress");
        Assert.Equal(("completed", "run 2"), (state.GetProperty("status").GetString(), state.GetProperty("output_text").GetString()));
        Assert.Equal(2, calls);

        List<JsonElement> records;
        do
        {
            var page = JsonDocument.Parse(await _gateway.Admin.GetStringAsync(new Uri("/admin/v1/audit?limit=100", UriKind.Relative), Cancel)).RootElement;
            records = [.. page.GetProperty("data").EnumerateArray().Where(record => record.GetProperty("generation_id").GetString() == id)];
        }
        while (records.Count < 2);
        Assert.Equal(2, records.Count);
        Assert.All(records, record => Assert.Single(record.GetProperty("attempts").EnumerateArray()));
        Assert.All(records, record => Assert.True(record.GetProperty("cost_usd").GetDecimal() > 0, record.GetRawText()));
    }
}
