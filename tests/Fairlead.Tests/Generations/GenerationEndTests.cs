using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Generations;
using Fairlead.Generations.Events;
using Fairlead.Storage;
using Fairlead.Tests.Storage;
using Fairlead.Webhooks;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Generations;

public sealed class SqliteGenerationEndTests() : GenerationEndTests(StorageProvider.Sqlite);

public sealed class PostgresGenerationEndTests() : GenerationEndTests(StorageProvider.Postgres);

/// <summary>The end of a generation and the word of it are one.</summary>
public abstract class GenerationEndTests : IDisposable
{
    private readonly TemporaryStorage _temporary;
    private readonly FakeTimeProvider _time = new(DateTimeOffset.FromUnixTimeMilliseconds(1_800_000_000_000));
    private readonly WebhookDeliveryStore _deliveries;
    private readonly GenerationStores _store;

    private protected GenerationEndTests(StorageProvider provider)
    {
        _temporary = new TemporaryStorage(provider);
        var storage = GenerationStores.Open(_temporary);
        var outbox = new WebhookOutbox(storage, new WebhookStore(storage, _time), _time);
        _deliveries = new WebhookDeliveryStore(storage, outbox);
        _store = new GenerationStores(storage, outbox, _time);
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task End_RepeatedForSameRun_CreatesOneEventAndRefusesDifferentEnd()
    {
        await _store.Inserter.AddAsync(Record(), null, TimeSpan.Zero, Cancel);
        Assert.Single((await _store.Queue.LeaseAsync("a", TimeSpan.FromMinutes(1), 1, true, Cancel)).Taken);
        Assert.True(await _store.Ends.EndAsync("gen_1", "a", 1, End(GenerationStatus.Completed, Outcome.Complete), NewEvents.None, Cancel));
        // The same end again, since the response to the first was lost; then another one.
        Assert.True(await _store.Ends.EndAsync("gen_1", "a", 1, End(GenerationStatus.Completed, Outcome.Complete), NewEvents.None, Cancel));
        Assert.False(await _store.Ends.EndAsync("gen_1", "a", 1, End(GenerationStatus.Completed, Outcome.Complete) with { Result = "other"u8.ToArray() }, NewEvents.None, Cancel));
        Assert.False(await _store.Ends.EndAsync("gen_1", "a", 2, End(GenerationStatus.Completed, Outcome.Complete), NewEvents.None, Cancel));

        var delivery = Assert.Single(await _deliveries.ListAsync("proj_1", null, null, "", 10, Cancel));
        Assert.Equal((WebhookEvents.Completed, "https://example.com/once"), (delivery.Type, delivery.Url));
        var data = JsonDocument.Parse(delivery.Payload).RootElement.GetProperty("data");
        Assert.Equal(("gen_1", "completed", "complete"), (data.GetProperty("id").GetString()!, data.GetProperty("status").GetString()!, data.GetProperty("outcome").GetString()!));
        Assert.Equal(("m", "upstream-m", 3), (data.GetProperty("model_requested").GetString()!, data.GetProperty("model").GetString()!, data.GetProperty("usage").GetProperty("output_tokens").GetInt32()));
        Assert.DoesNotContain("words of the answer", JsonSerializer.Serialize(data), StringComparison.Ordinal);
    }

    [Fact]
    public async Task End_RunTakenOver_CreatesNoEvent()
    {
        await _store.Inserter.AddAsync(Record(), null, TimeSpan.Zero, Cancel);
        await _store.Queue.LeaseAsync("a", TimeSpan.FromMinutes(1), 1, true, Cancel);
        Assert.False(await _store.Ends.EndAsync("gen_1", "b", 1, End(GenerationStatus.Completed, Outcome.Complete), NewEvents.None, Cancel));
        Assert.Empty(await _deliveries.ListAsync("proj_1", null, null, "", 10, Cancel));
    }

    [Fact]
    public async Task Cancel_QueuedGeneration_CreatesOneEvent()
    {
        await _store.Inserter.AddAsync(Record(), null, TimeSpan.Zero, Cancel);
        Assert.Equal(GenerationStatus.Queued, await _store.Records.CancelAsync("proj_1", "gen_1", End(GenerationStatus.Cancelled, Outcome.Cancelled), Cancel));
        Assert.Equal(GenerationStatus.Cancelled, await _store.Records.CancelAsync("proj_1", "gen_1", End(GenerationStatus.Cancelled, Outcome.Cancelled), Cancel));
        Assert.Equal(WebhookEvents.Cancelled, Assert.Single(await _deliveries.ListAsync("proj_1", null, null, "", 10, Cancel)).Type);
    }

    [Theory]
    [InlineData("completed")]
    [InlineData("failed")]
    [InlineData("incomplete")]
    [InlineData("cancelled")]
    public void EndEventTypes_EveryStatus_CanBeSubscribedTo(string status) => Assert.Contains(GenerationWebhookPayload.Of("gen_1", End(GenerationStatusNames.Parse(status), Outcome.Complete), "p", "d", "m", default, null).Type, WebhookEvents.Known);

    public void Dispose()
    {
        _temporary.Dispose();
        GC.SuppressFinalize(this);
    }

    private GenerationRecord Record() => new()
    {
        Id = "gen_1", OrganizationId = "org_1", ProjectId = "proj_1", KeyId = "key_1", RequestId = "req_1", Dialect = "openai.chat", Endpoint = "/v1/chat/completions", Model = "m", Class = "standard",
        Request = "{}"u8.ToArray(), WebhookUrl = "https://example.com/once", Status = GenerationStatus.Queued, CreatedAt = _time.GetUtcNow(), AvailableAt = _time.GetUtcNow(),
    };

    private GenerationEnd End(GenerationStatus status, Outcome outcome) => new(status, outcome, 200, "{}"u8.ToArray(),
        """{"model":"upstream-m","output_text":"words of the answer","usage":{"output_tokens":3},"error":null}"""u8.ToArray(), _time.GetUtcNow(), _time.GetUtcNow() + TimeSpan.FromHours(1));
}
