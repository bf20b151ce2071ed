using System.Buffers;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>Anthropic's token counting, <c>POST /v1/messages/count_tokens</c>: a Messages request that is counted and not answered.</summary>
internal sealed class CountTokensDialect : Dialect
{
    public override string Name => "anthropic.count_tokens";

    public override Operation Operation => Operation.CountTokens;

    public override ErrorShape ErrorShape => ErrorShape.Anthropic;

    public override string Scope => Scopes.Chat;

    public override GatewayError? Read(GatewayCall call, RequestBounds bounds) => MessagesRequestReader.Read(call, bounds, countOnly: true);

    public override ConversationRequest ToConversation(GatewayCall call) => MessagesConversationReader.Read(call);

    public override void WriteUpstreamBody(GatewayCall call, string upstreamModel, IBufferWriter<byte> output) =>
        MessagesUpstreamBody.Write(call, upstreamModel, output);

    /// <summary>The count in a provider's answer, or null when the body is none.</summary>
    public static long? ReadCount(ReadOnlySpan<byte> body)
    {
        try
        {
            var json = new Utf8JsonReader(body);
            if (!json.Read() || json.TokenType != JsonTokenType.StartObject) return null;
            long? count = null;
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                var isCount = json.ValueTextEquals("input_tokens"u8);
                json.Read();
                if (isCount && json.TokenType == JsonTokenType.Number && json.TryGetInt64(out var tokens) && tokens >= 0) count = tokens;
                else json.Skip();
            }
            json.Read();
            return count;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    public override bool ScanAnswer(ReadOnlySpan<byte> body, AnswerMeter meter) => ReadCount(body) is not null;

    /// <summary>The bare count: the object has no other members, so there is no room for additions.</summary>
    public override void WriteReply(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output)
    {
        switch (reply)
        {
            case GatewayReply.Counted counted:
                var json = new JsonAppender(output);
                json.Raw("{\"input_tokens\":"u8);
                json.Number(counted.InputTokens);
                json.Raw("}"u8);
                json.Flush();
                break;
            case GatewayReply.NativeBody native:
                output.Write(native.Body.WrittenSpan);
                break;
            default:
                throw new InvalidOperationException($"A count cannot be answered with {reply.GetType().Name}.");
        }
    }
}
