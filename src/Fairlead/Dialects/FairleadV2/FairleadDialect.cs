using System.Buffers;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.FairleadV2;

/// <summary>The gateway's own dialect, <c>POST /v2/generations</c>: one typed request for every delivery. Providers are reached by translation.</summary>
internal sealed class FairleadDialect : Dialect
{
    public override string Name => "fairlead";

    public override Operation Operation => Operation.Chat;

    public override ErrorShape ErrorShape => ErrorShape.Problem;

    public override string InputField => "input";

    public override string ClassField => "class";

    public override string WebhookField => "delivery/webhook/url";

    public override bool IsConversation => true;

    public override string Scope => Scopes.Chat;

    /// <summary>It has events for what comes before content, and for failures.</summary>
    public override bool CommitsAtAcceptance => true;

    public override GatewayError? Read(GatewayCall call, RequestBounds bounds) => V2RequestReader.Read(call, bounds);

    public override Preference? DeliveryOf(GatewayCall call) => call.Facts.V2 switch
    {
        { Delivery: V2Delivery.Job } => new Preference(true, null),
        { Delivery: V2Delivery.Auto, WaitSeconds: var seconds } => new Preference(true, seconds),
        _ => null,
    };

    /// <summary>A stream is what comes when neither the request nor the header says anything.</summary>
    public override bool TakesPreference(GatewayCall call) => call.Facts.V2 is { SaysDelivery: false };

    public override bool KeepsStream(GatewayCall call) => call.Facts.Stream && call.Facts.Extension.OnDisconnect == OnDisconnect.Continue;

    public override GenerationView CreateView(GatewayCall call, GenerationRecord record) => new TypedEventsView(call, record);

    public override GatewayError Place(GatewayCall call, GatewayError error) => V2Places.Of(call, error);

    public override ConversationRequest ToConversation(GatewayCall call) => call.Facts.V2!.Conversation;

    public override void WriteReply(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output)
    {
        if (reply is not GatewayReply.Complete complete) throw new InvalidOperationException($"A generation cannot be answered with {reply.GetType().Name}.");
        V2GenerationObject.WriteEnded(call, complete.Answer, output);
    }

    public override DialectStreamWriter CreateStreamWriter(GatewayCall call) => new V2StreamWriter(call);
}
