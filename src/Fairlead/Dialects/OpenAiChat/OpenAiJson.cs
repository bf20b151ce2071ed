using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>Pieces of OpenAI's responses that whole bodies and chunks share.</summary>
internal static class OpenAiJson
{
    public static void AppendUsage(ref JsonAppender json, in Usage usage)
    {
        json.Raw("{\"prompt_tokens\":"u8);
        json.Number(usage.InputTokens);
        json.Raw(",\"completion_tokens\":"u8);
        json.Number(usage.OutputTokens);
        json.Raw(",\"total_tokens\":"u8);
        json.Number(usage.TotalTokens);
        json.Raw(",\"prompt_tokens_details\":{\"cached_tokens\":"u8);
        json.Number(usage.CachedInputTokens);
        json.Raw(",\"cache_write_tokens\":"u8);
        json.Number(usage.CacheWriteTokens);
        json.Raw("},\"completion_tokens_details\":{\"reasoning_tokens\":"u8);
        json.Number(usage.ReasoningTokens);
        json.Raw("}}"u8);
    }

    /// <summary>The <c>logprobs</c> value of a choice: null, or the entries of its text.</summary>
    public static void AppendLogprobs(ref JsonAppender json, IReadOnlyList<TokenLogprob>? logprobs)
    {
        if (logprobs is null)
        {
            json.Raw("null"u8);
            return;
        }
        json.Raw("{\"content\":["u8);
        for (var i = 0; i < logprobs.Count; i++)
        {
            if (i > 0) json.Raw(","u8);
            Token(ref json, logprobs[i]);
            json.Raw(",\"top_logprobs\":["u8);
            for (var j = 0; j < logprobs[i].Top.Count; j++)
            {
                if (j > 0) json.Raw(","u8);
                Token(ref json, logprobs[i].Top[j]);
                json.Raw("}"u8);
            }
            json.Raw("]}"u8);
        }
        json.Raw("],\"refusal\":null}"u8);
    }

    /// <summary>
    /// The finish reason of a choice whose provider sent none: a truncated response must not look like one that stopped by itself.
    /// </summary>
    public static FinishReason ReasonOf(CallEnding? ending) => ending?.Outcome switch
    {
        Outcome.ToolCalls => FinishReason.ToolCalls,
        Outcome.ContentFilter => FinishReason.ContentFilter,
        Outcome.Complete => FinishReason.Stop,
        _ => FinishReason.Length,
    };

    // Left open, so that the alternatives can follow.
    private static void Token(ref JsonAppender json, TokenLogprob token)
    {
        json.Raw("{\"token\":"u8);
        json.String(token.Token);
        json.Raw(",\"logprob\":"u8);
        json.Number((double?)token.Logprob);
        json.Raw(",\"bytes\":"u8);
        if (token.Bytes is null)
        {
            json.Raw("null"u8);
            return;
        }
        json.Raw("["u8);
        for (var i = 0; i < token.Bytes.Length; i++)
        {
            if (i > 0) json.Raw(","u8);
            json.Number((long)token.Bytes[i]);
        }
        json.Raw("]"u8);
    }
}
