using System.Buffers;
using System.Collections.Frozen;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.FairleadV2;

/// <summary>
/// The gateway's own dialect, <c>POST /v2/generations</c>: one typed request for every delivery. It is translated for every provider.
/// </summary>
internal sealed class FairleadDialect
    : IRequestReader, IConversationDialect, IResponseWriter, IStreamResponses, IStoredStreams, IDeliveryChoice
{
    private FairleadDialect()
    {
    }

    public bool WarnsOfEveryLoss => true;

    /// <summary>It has events for progress and for failures.</summary>
    public bool CommitsAtAcceptance => true;

    public static Dialect Create()
    {
        var parts = new FairleadDialect();
        return new Dialect
        {
            Name = "fairlead",
            Path = "/v2/generations",
            Operation = Operation.Chat,
            ErrorShape = ErrorShape.Problem,
            Scope = Scopes.Chat,
            InputField = "input",
            RouteField = "route",
            ClassField = "class",
            WebhookField = "delivery/webhook/url",
            BudgetField = "budget_usd",
            // The members of 'fairlead' are at the top here.
            FieldsWithoutEffect = FrozenSet.Create(StringComparer.Ordinal,
                "model", "stream", "delivery", "class", "deadline_ms", "budget_usd", "task", "metadata",
                "rescue", "cache", "store", "user", "safety_identifier"),
            Requests = parts,
            Conversations = parts,
            Responses = parts,
            Streams = parts,
            StoredStreams = parts,
            Delivery = parts,
        };
    }

    public GatewayError? Read(GatewayCall call, RequestBounds bounds) => V2RequestReader.Read(call, bounds);

    public GatewayError WithClientParameter(GatewayCall call, GatewayError error) => V2ParameterNames.Of(call, error);

    public ConversationRequest ToConversation(GatewayCall call) => call.Facts.V2!.Conversation;

    public void Write(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output)
    {
        if (reply is not GatewayReply.Complete complete)
        {
            throw new InvalidOperationException($"A generation has no body for {reply.GetType().Name}.");
        }
        V2GenerationObject.WriteEnded(call, complete.Response, output);
    }

    public DialectStreamWriter CreateWriter(GatewayCall call) => new V2StreamWriter(call);

    public bool IsStored(GatewayCall call) => call.Streams && call.Facts.V2 is { Stores: true };

    public bool EndsWithClient(GatewayCall call) => !call.ContinuesWithoutClient;

    public GenerationView CreateView(GatewayCall call, GenerationRecord record) => new TypedEventsView(call, record);

    public Preference? Of(GatewayCall call) => call.Facts.V2 switch
    {
        { Delivery: V2Delivery.Job } => new Preference(true, null),
        { Delivery: V2Delivery.Auto, WaitSeconds: var seconds } => new Preference(true, seconds),
        _ => null,
    };

    public bool Stores(GatewayCall call) => call.Facts.V2 is { Stores: true };

    /// <summary>A request that names no delivery is streamed, unless the header names one.</summary>
    public bool AllowsPreferHeader(GatewayCall call) => call.Facts.V2 is { ChoosesDelivery: false };
}
