using System.Buffers;
using Fairlead.Conversation;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>Writes usage as Anthropic counts it: <c>input_tokens</c> excludes both cache counts.</summary>
internal static class MessagesUsageWriter
{
    /// <summary>The whole object, as in a message.</summary>
    public static void Append(ref JsonAppender json, in Usage usage)
    {
        Begin(ref json, usage);
        json.Raw(",\"cache_creation\":{\"ephemeral_5m_input_tokens\":"u8);
        json.Number(usage.CacheWriteTokens - usage.LongCacheWriteTokens);
        json.Raw(",\"ephemeral_1h_input_tokens\":"u8);
        json.Number(usage.LongCacheWriteTokens);
        json.Raw("}"u8);
        End(ref json, usage);
        json.Raw(",\"service_tier\":null,\"speed\":null,\"inference_geo\":null}"u8);
    }

    /// <summary>The cumulative numbers of a <c>message_delta</c>.</summary>
    public static void AppendDelta(ref JsonAppender json, in Usage usage)
    {
        Begin(ref json, usage);
        End(ref json, usage);
        json.Raw("}"u8);
    }

    /// <summary>
    /// A provider's message, or its last <c>message_delta</c>, with the usage that is charged if the provider's own is not trusted.
    /// </summary>
    public static ReadOnlySpan<byte> Correct(GatewayCall call, ReadOnlySpan<byte> json, bool isDelta)
    {
        if (NativeUsage.IsTrusted(call)) return json;
        var value = new ArrayBufferWriter<byte>(512);
        var appender = new JsonAppender(value);
        if (isDelta) AppendDelta(ref appender, call.Ending!.Usage);
        else Append(ref appender, call.Ending!.Usage);
        appender.Flush();
        return NativeUsage.Replace(json, value.WrittenSpan, inserts: true);
    }

    private static void Begin(ref JsonAppender json, in Usage usage)
    {
        json.Raw("{\"input_tokens\":"u8);
        json.Number(Math.Max(0, usage.InputTokens - usage.CachedInputTokens - usage.CacheWriteTokens));
        json.Raw(",\"cache_creation_input_tokens\":"u8);
        json.Number(usage.CacheWriteTokens);
        json.Raw(",\"cache_read_input_tokens\":"u8);
        json.Number(usage.CachedInputTokens);
    }

    private static void End(ref JsonAppender json, in Usage usage)
    {
        json.Raw(",\"output_tokens\":"u8);
        json.Number(usage.OutputTokens);
        json.Raw(",\"output_tokens_details\":{\"thinking_tokens\":"u8);
        json.Number(usage.ReasoningTokens);
        json.Raw("},\"server_tool_use\":null"u8);
    }
}
