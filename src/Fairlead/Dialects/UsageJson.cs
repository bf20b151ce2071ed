using System.Buffers;
using System.Text.Json;
using Fairlead.Conversation;

namespace Fairlead.Dialects;

/// <summary>
/// The gateway's own form of a usage, an object with five counts and their basis: in the <c>fairlead</c> object, generations, webhooks and
/// audit records. The API dialects have their own forms. Each property below is the fixed text before a value, for writers and for readers
/// that scan along it.
/// </summary>
internal static class UsageJson
{
    public static ReadOnlySpan<byte> InputTokens => "{\"input_tokens\":"u8;

    public static ReadOnlySpan<byte> CachedInputTokens => ",\"cached_input_tokens\":"u8;

    public static ReadOnlySpan<byte> CacheWriteTokens => ",\"cache_write_tokens\":"u8;

    public static ReadOnlySpan<byte> OutputTokens => ",\"output_tokens\":"u8;

    public static ReadOnlySpan<byte> ReasoningTokens => ",\"reasoning_tokens\":"u8;

    public static ReadOnlySpan<byte> Basis => ",\"basis\":"u8;

    public static void Append(ref JsonAppender json, in Usage usage)
    {
        json.Raw(InputTokens);
        json.Number(usage.InputTokens);
        json.Raw(CachedInputTokens);
        json.Number(usage.CachedInputTokens);
        json.Raw(CacheWriteTokens);
        json.Number(usage.CacheWriteTokens);
        json.Raw(OutputTokens);
        json.Number(usage.OutputTokens);
        json.Raw(ReasoningTokens);
        json.Number(usage.ReasoningTokens);
        json.Raw(Basis);
        json.String(usage.Basis.ToWire());
        json.Raw("}"u8);
    }

    /// <summary>Writes the value of a property whose name was written before.</summary>
    public static void Write(Utf8JsonWriter json, in Usage usage)
    {
        var output = new ArrayBufferWriter<byte>(256);
        var appender = new JsonAppender(output);
        Append(ref appender, usage);
        appender.Flush();
        json.WriteRawValue(output.WrittenSpan, skipInputValidation: true);
    }
}
