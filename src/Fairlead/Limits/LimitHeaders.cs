using System.Globalization;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Limits;

/// <summary>
/// Writes the limits of a call into the headers of its response: <c>RateLimit-Policy</c> and <c>RateLimit</c> in every dialect, and the
/// headers that clients of OpenAI or Anthropic read. Keys with <c>extensions: "none"</c> get them too: they change no body.
/// </summary>
internal static class LimitHeaders
{
    private static readonly HeaderNames OpenAiRequests = HeaderNames.OfOpenAi("requests");
    private static readonly HeaderNames OpenAiTokens = HeaderNames.OfOpenAi("tokens");
    private static readonly HeaderNames AnthropicRequests = HeaderNames.OfAnthropic("requests");
    private static readonly HeaderNames AnthropicTokens = HeaderNames.OfAnthropic("tokens");
    private static readonly HeaderNames AnthropicInput = HeaderNames.OfAnthropic("input-tokens");
    private static readonly HeaderNames AnthropicOutput = HeaderNames.OfAnthropic("output-tokens");

    /// <summary>Writes them. Call after <c>Retry-After</c> is set. Does nothing for a call without limits.</summary>
    /// <param name="headers">The headers of the response.</param>
    /// <param name="call">The call.</param>
    /// <param name="error">The error of the response, or null.</param>
    public static void Write(IHeaderDictionary headers, GatewayCall call, GatewayError? error = null)
    {
        if (call.Limits?.Read() is not { Length: > 0 } states) return;
        var now = call.Time.GetUtcNow();
        WriteNative(headers, states, call.Dialect.ErrorShape, now);
        // Last, because it changes the order.
        if (RateLimitFields.Of(states, now, RetryAfterOf(headers), LimitErrors.PolicyOf(error)) is not { } fields) return;
        headers["RateLimit-Policy"] = fields.Policy;
        headers["RateLimit"] = fields.RateLimit;
    }

    private static void WriteNative(IHeaderDictionary headers, LimitState[] states, ErrorShape shape, DateTimeOffset now)
    {
        switch (shape)
        {
            case ErrorShape.OpenAi:
                Write(headers, states, LimitKind.Requests, OpenAiRequests, now);
                Write(headers, states, LimitKind.Tokens, OpenAiTokens, now);
                break;
            case ErrorShape.Anthropic:
                Write(headers, states, LimitKind.Requests, AnthropicRequests, now);
                Write(headers, states, LimitKind.Tokens, AnthropicTokens, now);
                Write(headers, states, LimitKind.InputTokens, AnthropicInput, now);
                Write(headers, states, LimitKind.OutputTokens, AnthropicOutput, now);
                break;
        }
    }

    private static void Write(IHeaderDictionary headers, LimitState[] states, LimitKind kind, HeaderNames names, DateTimeOffset now)
    {
        var index = DecidingLimit.Of(states, kind);
        if (index < 0) return;
        ref readonly var state = ref states[index];
        headers[names.Limit] = state.Limit.ToString(CultureInfo.InvariantCulture);
        headers[names.Remaining] = Math.Max(0, state.Remaining).ToString(CultureInfo.InvariantCulture);
        headers[names.Reset] = names.IsDuration ? LimitTimes.Duration(state.ResetsAt, now) : LimitTimes.Rfc3339(state.ResetsAt, now);
    }

    private static long? RetryAfterOf(IHeaderDictionary headers) =>
        long.TryParse(headers.RetryAfter.ToString(), NumberStyles.None, CultureInfo.InvariantCulture, out var seconds) ? seconds : null;

    private sealed record HeaderNames(string Limit, string Remaining, string Reset, bool IsDuration)
    {
        public static HeaderNames OfOpenAi(string kind) =>
            new($"x-ratelimit-limit-{kind}", $"x-ratelimit-remaining-{kind}", $"x-ratelimit-reset-{kind}", IsDuration: true);

        public static HeaderNames OfAnthropic(string kind) =>
            new($"anthropic-ratelimit-{kind}-limit", $"anthropic-ratelimit-{kind}-remaining", $"anthropic-ratelimit-{kind}-reset",
                IsDuration: false);
    }
}
