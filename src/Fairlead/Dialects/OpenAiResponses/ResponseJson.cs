using System.Buffers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Errors;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>Pieces that whole responses and events share.</summary>
internal static class ResponseJson
{
    /// <param name="json">Receives the item.</param>
    /// <param name="item">Its content so far.</param>
    /// <param name="withSeal">Whether encrypted reasoning is included.</param>
    /// <param name="empty">For the announcement of the item: without its content.</param>
    public static void AppendItem(ref JsonAppender json, OutputItem item, bool withSeal, bool empty = false)
    {
        json.Raw("{\"id\":"u8);
        json.String(item.Id);
        switch (item.Kind)
        {
            case OutputItemKind.Message:
                json.Raw(",\"type\":\"message\",\"status\":"u8);
                json.String(item.Status);
                json.Raw(",\"role\":\"assistant\",\"content\":["u8);
                for (var i = 0; i < item.Parts.Count && !empty; i++)
                {
                    if (i > 0) json.Raw(","u8);
                    AppendPart(ref json, item.Parts[i]);
                }
                json.Raw("]}"u8);
                break;
            case OutputItemKind.Reasoning:
                json.Raw(",\"type\":\"reasoning\",\"summary\":["u8);
                if (item.Text.Length > 0 && !empty) AppendSummary(ref json, item.Text.ToString());
                json.Raw("]"u8);
                if (withSeal && item.Seal is not null && !empty)
                {
                    json.Raw(",\"encrypted_content\":"u8);
                    json.String(item.Seal);
                }
                json.Raw(",\"status\":"u8);
                json.String(item.Status);
                json.Raw("}"u8);
                break;
            default:
                var custom = item.Kind == OutputItemKind.CustomCall;
                json.Raw(custom ? ",\"type\":\"custom_tool_call\",\"call_id\":"u8 : ",\"type\":\"function_call\",\"call_id\":"u8);
                json.String(item.CallId);
                json.Raw(",\"name\":"u8);
                json.String(item.Name);
                json.Raw(custom ? ",\"input\":"u8 : ",\"arguments\":"u8);
                json.String(empty ? "" : item.Text.ToString());
                json.Raw(",\"status\":"u8);
                json.String(item.Status);
                json.Raw("}"u8);
                break;
        }
    }

    /// <summary>Items as they are stored: a JSON array, with encrypted reasoning.</summary>
    public static byte[] Items(IReadOnlyList<OutputItem> items, bool withSeals)
    {
        var output = new ArrayBufferWriter<byte>(1024);
        var json = new JsonAppender(output);
        json.Raw("["u8);
        for (var i = 0; i < items.Count; i++)
        {
            if (i > 0) json.Raw(","u8);
            AppendItem(ref json, items[i], withSeals);
        }
        json.Raw("]"u8);
        json.Flush();
        return output.WrittenSpan.ToArray();
    }

    public static byte[] Bytes(JsonNode node)
    {
        var output = new ArrayBufferWriter<byte>(1024);
        using (var writer = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions)) node.WriteTo(writer);
        return output.WrittenSpan.ToArray();
    }

    public static void AppendPart(ref JsonAppender json, OutputPart part, bool empty = false)
    {
        if (part.IsRefusal)
        {
            json.Raw("{\"type\":\"refusal\",\"refusal\":"u8);
            json.String(empty ? "" : part.Text.ToString());
            json.Raw("}"u8);
            return;
        }
        json.Raw("{\"type\":\"output_text\",\"text\":"u8);
        json.String(empty ? "" : part.Text.ToString());
        json.Raw(",\"annotations\":["u8);
        for (var i = 0; i < part.Annotations.Count && !empty; i++)
        {
            if (i > 0) json.Raw(","u8);
            json.Node(part.Annotations[i]);
        }
        json.Raw("],\"logprobs\":"u8);
        AppendLogprobs(ref json, empty ? [] : part.Logprobs);
        json.Raw("}"u8);
    }

    public static void AppendSummary(ref JsonAppender json, string text)
    {
        json.Raw("{\"type\":\"summary_text\",\"text\":"u8);
        json.String(text);
        json.Raw("}"u8);
    }

    public static void AppendLogprobs(ref JsonAppender json, IReadOnlyList<TokenLogprob> logprobs)
    {
        json.Raw("["u8);
        for (var i = 0; i < logprobs.Count; i++)
        {
            if (i > 0) json.Raw(","u8);
            AppendToken(ref json, logprobs[i]);
            json.Raw(",\"top_logprobs\":["u8);
            for (var j = 0; j < logprobs[i].Top.Count; j++)
            {
                if (j > 0) json.Raw(","u8);
                AppendToken(ref json, logprobs[i].Top[j]);
                json.Raw("}"u8);
            }
            json.Raw("]}"u8);
        }
        json.Raw("]"u8);
    }

    public static byte[] Usage(in Usage usage)
    {
        var output = new ArrayBufferWriter<byte>(256);
        var json = new JsonAppender(output);
        AppendUsage(ref json, usage);
        json.Flush();
        return output.WrittenSpan.ToArray();
    }

    public static void AppendUsage(ref JsonAppender json, in Usage usage)
    {
        json.Raw("{\"input_tokens\":"u8);
        json.Number(usage.InputTokens);
        json.Raw(",\"input_tokens_details\":{\"cached_tokens\":"u8);
        json.Number(usage.CachedInputTokens);
        json.Raw(",\"cache_write_tokens\":"u8);
        json.Number(usage.CacheWriteTokens);
        json.Raw("},\"output_tokens\":"u8);
        json.Number(usage.OutputTokens);
        json.Raw(",\"output_tokens_details\":{\"reasoning_tokens\":"u8);
        json.Number(usage.ReasoningTokens);
        json.Raw("},\"total_tokens\":"u8);
        json.Number(usage.TotalTokens);
        json.Raw("}"u8);
    }

    /// <summary>An annotation in this dialect: Chat Completions wraps it under the name of its type.</summary>
    public static JsonNode? Annotation(JsonNode? annotation)
    {
        if (annotation is not JsonObject given) return null;
        if (given["type"] is not JsonValue type || !type.TryGetValue<string>(out var name) || given[name] is not JsonObject inner)
        {
            return given.DeepClone();
        }
        var flat = new JsonObject { ["type"] = name };
        foreach (var (key, value) in inner) flat[key] = value?.DeepClone();
        return flat;
    }

    // Left open, so that the alternatives can follow.
    private static void AppendToken(ref JsonAppender json, TokenLogprob token)
    {
        json.Raw("{\"token\":"u8);
        json.String(token.Token);
        json.Raw(",\"logprob\":"u8);
        // A number is required here; "impossible" is written as providers write it.
        json.Number((double?)(double.IsFinite(token.Logprob) ? token.Logprob : -9999));
        json.Raw(",\"bytes\":["u8);
        var bytes = token.Bytes ?? Encoding.UTF8.GetBytes(token.Token);
        for (var i = 0; i < bytes.Length; i++)
        {
            if (i > 0) json.Raw(","u8);
            json.Number((long)bytes[i]);
        }
        json.Raw("]"u8);
    }
}
