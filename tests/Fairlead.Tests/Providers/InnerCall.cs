using System.Collections.Frozen;
using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Streaming;

namespace Fairlead.Tests.Providers;

/// <summary>A call that comes from no wire: its request is already in the inner language.</summary>
internal static class InnerCall
{
    public static GatewayCall Of(ConversationRequest request, bool stream = false, TimeProvider? time = null, Operation operation = Operation.Chat) =>
        Create(InnerDialect.Of(operation, request, null), time, new RequestFacts { Model = "m", Stream = stream, ChoiceCount = request.ChoiceCount });

    public static GatewayCall Of(EmbeddingsRequest request) =>
        Create(InnerDialect.Of(Operation.Embeddings, null, request), null, new RequestFacts { Model = "m" });

    public static Attempt AttemptAt(Provider provider, string upstreamModel, ProviderTimeouts? timeouts = null) => new("att_1", 1, new Deployment
    {
        Name = $"{provider.Name}/{upstreamModel}",
        ProviderName = provider.Name,
        UpstreamModel = upstreamModel,
        Timeouts = timeouts ?? ProviderTimeouts.Default,
        Provider = provider,
    });

    public static ConversationRequest Ask(string text) => new() { Messages = [Message.Of(Role.User, text)] };

    /// <summary>All events to the end of the stream. Native events would be an error.</summary>
    public static async Task<List<GenerationEvent>> ReadAllAsync(IEventSource source, CancellationToken cancellationToken)
    {
        var events = new List<GenerationEvent>();
        using var batch = new EventBatch();
        while (await source.ReadAsync(batch, cancellationToken))
        {
            Assert.NotEmpty(batch.Items);
            foreach (var item in batch.Items) events.Add(Assert.IsAssignableFrom<GenerationEvent>(item.Event));
        }
        await source.DisposeAsync();
        return events;
    }

    private static GatewayCall Create(Dialect dialect, TimeProvider? time, RequestFacts facts) =>
        new("req_1", "gen_1", dialect, Caller, time ?? TimeProvider.System)
        {
            Facts = facts,
            Model = new CatalogueModel { Id = "m", OwnedBy = "test" },
        };

    private static readonly Caller Caller = new()
    {
        OrganizationId = "org_1",
        OrganizationName = "o",
        ProjectId = "proj_1",
        ProjectName = "p",
        KeyId = "key_1",
        KeyName = "k",
        Scopes = FrozenSet.ToFrozenSet(["*"]),
    };
}
