using System.Buffers;
using Fairlead.Authentication;
using Fairlead.Configuration;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>
/// <c>POST /v1/responses/compact</c>, which only the company that seals the result can do, and for itself alone: refused, since a compaction that
/// another deployment could not read would lose the conversation.
/// </summary>
internal sealed class CompactDialect : Dialect
{
    public override string Name => "openai.responses.compact";

    public override Operation Operation => Operation.CountTokens;

    public override ErrorShape ErrorShape => ErrorShape.OpenAi;

    public override string InputField => "input";

    public override string Scope => Scopes.Chat;

    public override GatewayError? Read(GatewayCall call, RequestBounds bounds) =>
        ResponsesRequestReader.ReadCounted(call, bounds) ?? GatewayError.Unsupported("model", $"No provider of the model `{call.Facts.Model}` compacts conversations so that every deployment could go on with them.") with
        {
            Remedy = "Send fewer items, or ask the model for a summary and go on from that.",
        };

    public override void WriteReply(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output) => throw new InvalidOperationException("Every compaction is refused.");
}
