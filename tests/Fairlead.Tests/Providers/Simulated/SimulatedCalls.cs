using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Providers.Simulated;
using Fairlead.Streaming;
using Fairlead.TokenCounting;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Providers.Simulated;

/// <summary>A simulated provider with one call on its way to it.</summary>
internal sealed class SimulatedCalls(string model, SimulationConfig? simulation = null, ProviderTimeouts? timeouts = null)
{
    public FakeTimeProvider Time { get; } = new();

    public SimulatedProvider Provider { get; } = new("sim", new ProviderConfig { Kind = "simulated", Simulation = simulation ?? new() }, new TokenCounter());

    public Attempt Attempt { get; private set; } = null!;

    public ValueTask<GatewayReply> SendAsync(ConversationRequest request, bool stream = false, string? simulate = null, int attempt = 1, CancellationToken? token = null) =>
        SendAsync(InnerDialect.Of(Operation.Chat, request, null), stream, simulate, attempt, token);

    public ValueTask<GatewayReply> SendAsync(EmbeddingsRequest request, string? simulate = null) => SendAsync(InnerDialect.Of(Operation.Embeddings, null, request), false, simulate, 1, null);

    private ValueTask<GatewayReply> SendAsync(Dialect dialect, bool stream, string? simulate, int number, CancellationToken? token)
    {
        var caller = new Caller { OrganizationId = "org_1", OrganizationName = "o", ProjectId = "proj_1", ProjectName = "p", KeyId = "key_1", KeyName = "k", Scopes = [.. Scopes.Default] };
        var call = new GatewayCall("req_1", "gen_1", dialect, caller, Time) { Model = BuiltInModels.Find(model)!, Simulate = simulate };
        call.Facts.Stream = stream;
        var deployment = new Deployment { Name = $"sim/{model}", ProviderName = "sim", UpstreamModel = model, Timeouts = timeouts ?? ProviderTimeouts.Default, Provider = Provider };
        Attempt = new Attempt("att_1", number, deployment);
        return Provider.SendAsync(call, Attempt, token ?? TestContext.Current.CancellationToken);
    }

    public async Task<ModelResponse> AnswerAsync(ConversationRequest request) => Assert.IsType<GatewayReply.Complete>(await SendAsync(request)).Response;

    public async Task<List<GenerationEvent>> EventsAsync(ConversationRequest request, string? simulate = null)
    {
        await using var source = Assert.IsType<GatewayReply.Streaming>(await SendAsync(request, stream: true, simulate)).Events;
        return await ReadAllAsync(source);
    }

    /// <summary>Reads to the end, moving the clock on whenever the source waits for it.</summary>
    public async Task<List<GenerationEvent>> ReadAllAsync(IEventSource source)
    {
        var events = new List<GenerationEvent>();
        using var batch = new EventBatch();
        while (true)
        {
            var reading = source.ReadAsync(batch, TestContext.Current.CancellationToken).AsTask();
            while (!reading.IsCompleted)
            {
                Time.Advance(TimeSpan.FromMilliseconds(50));
                await Task.Yield();
            }
            if (!await reading) return events;
            foreach (var item in batch.Items)
            {
                Attempt.Meter.Observe(item.Event!);
                events.Add(item.Event!);
            }
        }
    }

    public static ConversationRequest Ask(string text) => new() { Messages = [Message.Of(Role.User, text)] };

    public static string TextOf(ModelResponse answer) => string.Concat(answer.Choices[0].Parts.OfType<TextPart>().Select(p => p.Text));

    public static string TextOf(IEnumerable<GenerationEvent> events, int choice = 0) => string.Concat(events.OfType<TextDelta>().Where(e => e.Choice == choice).Select(e => e.Text));
}
