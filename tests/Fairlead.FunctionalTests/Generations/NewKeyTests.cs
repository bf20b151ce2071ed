using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Tests.Common;

namespace Fairlead.FunctionalTests.Generations;

/// <summary>Two nodes on one PostgreSQL: the node that runs a job has not read its key yet, because the other node has just created it.</summary>
public sealed class NewKeyTests : IAsyncLifetime
{
    private string _database = null!;
    private FakeUpstream _upstream = null!;
    private TestGateway _runs = null!;
    private TestGateway _accepts = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _database = TestPostgres.CreateDatabase();
        _upstream = await FakeUpstream.StartAsync();
        _upstream.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":"a"}"""), FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
        };
        _runs = await TestGateway.StartOnAsync(_database, _upstream.Yaml());
        _accepts = await TestGateway.StartOnAsync(_database, _upstream.Yaml("  jobs: { workers: 0 }"));
    }

    public async ValueTask DisposeAsync()
    {
        await _accepts.DisposeAsync();
        await _runs.DisposeAsync();
        await _upstream.DisposeAsync();
        TestPostgres.DropDatabase(_database);
    }

    [Fact]
    public async Task Job_KeyJustCreatedOnAnotherNode_IsRun()
    {
        // Several keys: a node reads the keys once a second, and may do so just between the two requests.
        for (var i = 0; i < 5; i++)
        {
            var (secret, _) = await _accepts.MakeKeyAsync("\"scopes\":[\"chat\"]");
            using var client = _accepts.MakeClient(secret);
            var job = await client.PostForJsonAsync("/v2/generations", """{"model":"m","input":"x","delivery":{"mode":"job"}}""");
            var ended = JsonDocument.Parse(await client.GetStringAsync(new Uri($"/v2/generations/{job.GetProperty("id").GetString()}?wait=60", UriKind.Relative), Cancel)).RootElement;
            Assert.True(ended.GetProperty("status").GetString() == "completed", ended.GetRawText());
        }
    }
}
