using System.Net;
using System.Net.Http.Headers;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Microsoft.Extensions.Logging;

namespace Fairlead.Providers.Http;

/// <summary>What an error of a provider means, before it becomes a reply.</summary>
internal enum UpstreamFault
{
    /// <summary>The request is at fault: the provider would refuse it again.</summary>
    Rejected,

    /// <summary>The request is longer than the model's window.</summary>
    ContextLength,

    /// <summary>The body is larger than the provider takes.</summary>
    TooLarge,

    /// <summary>The provider's content policy.</summary>
    ContentPolicy,

    /// <summary>The operator's matter: key, permission, billing, unknown model, wrong address.</summary>
    Operator,

    /// <summary>The operator's quota or credit is used up; waiting does not help soon.</summary>
    Quota,

    /// <summary>The provider's own rate limit.</summary>
    RateLimited,

    /// <summary>No room now.</summary>
    Busy,

    /// <summary>It did not answer in time.</summary>
    Timeout,

    /// <summary>It broke.</summary>
    Broken,
}

/// <summary>
/// The one place that turns a provider's failure into ours (CONTRACTS 5.6): who is to blame, whether another try may help, and which of the provider's
/// words a client may read. An unfit key of ours is never shown as an unfit key of the caller.
/// </summary>
internal static class UpstreamErrors
{
    /// <summary>The reply to an answer with an error status. Logs what operators must know.</summary>
    /// <param name="sameDialect">Whether the provider saw the client's own body, so that its field names mean something to the client.</param>
    public static ProviderReply.Failed FromResponse(
        HttpStatusCode status, HttpResponseHeaders headers, ReadOnlyMemory<byte> body, Attempt attempt, bool sameDialect, TimeProvider time, ILogger logger)
    {
        var parsed = UpstreamErrorBody.Parse(body);
        var fault = Classify((int)status, parsed);
        Log(fault, (int)status, parsed, attempt, logger);
        var error = ToError(fault, parsed.Message, sameDialect ? parsed.Parameter : null);
        if (MaySayWhen(fault))
        {
            error = error with { RetryAfter = RetryAfterReader.Read(headers, time) ?? parsed.RetryDelay };
        }
        return new ProviderReply.Failed(error, ClassOf(fault), (int)status);
    }

    /// <summary>Logs what operators must know of an error event.</summary>
    public static void LogEvent(UpstreamErrorBody body, Attempt attempt, ILogger logger)
    {
        var fault = Classify(null, body);
        if (fault is UpstreamFault.Operator or UpstreamFault.Quota) Log(fault, attempt.UpstreamStatus ?? 0, body, attempt, logger);
        else UpstreamLog.BrokeOff(logger, attempt.Deployment.ProviderName, attempt.Deployment.Name, Reason(body));
    }

    private static void Log(UpstreamFault fault, int status, UpstreamErrorBody parsed, Attempt attempt, ILogger logger)
    {
        var deployment = attempt.Deployment;
        var reason = Reason(parsed);
        if (fault is UpstreamFault.Operator or UpstreamFault.Quota)
        {
            UpstreamLog.OperatorMustAct(logger, deployment.ProviderName, deployment.Name, status, reason, UpstreamText.Clean(parsed.Message) ?? "(its text is withheld)");
        }
        else if (fault is UpstreamFault.RateLimited or UpstreamFault.Busy or UpstreamFault.Timeout or UpstreamFault.Broken)
        {
            UpstreamLog.Answered(logger, deployment.ProviderName, deployment.Name, status, reason);
        }
    }

    /// <summary>The error in which a stream ends, when the provider's own error event broke it off. Without a status only the body tells.</summary>
    public static GatewayError FromEvent(UpstreamErrorBody body) => ToError(Classify(null, body), body.Message, null) with { RetryAfter = body.RetryDelay };

    /// <summary>The same for an event that could not be read further.</summary>
    public static GatewayError FromEvent(UpstreamError error) => FromEvent(new UpstreamErrorBody(error.Type, null, null, error.Message));

    /// <summary>What may be tried after a stream that broke before its first content; its status was good, so its error alone tells.</summary>
    public static FailureClass ClassOf(GatewayError error) => error.Code switch
    {
        ErrorCode.ProviderRejected or ErrorCode.ContextLengthExceeded or ErrorCode.PayloadTooLarge or ErrorCode.Overloaded => FailureClass.GiveBack,
        // Who was waited for in vain is not waited for again, nor who refused the operator's key.
        ErrorCode.ProviderTimeout => FailureClass.Failover,
        _ => error.IsRetryable ? FailureClass.Retry : FailureClass.Failover,
    };

    public static GatewayError ToError(UpstreamFault fault, string? text, string? parameter) => fault switch
    {
        UpstreamFault.Rejected => new GatewayError(ErrorCode.ProviderRejected,
            UpstreamText.Clean(text) is { } clean ? $"The model's provider refused the request: {clean}" : "The model's provider refused the request.")
        {
            Parameter = UpstreamText.CleanParameter(parameter),
        },
        UpstreamFault.ContextLength => new GatewayError(ErrorCode.ContextLengthExceeded,
            "The request is larger than the model's context window: input and requested output together exceed it, by the count of the model's provider.")
        {
            Parameter = "messages",
            Remedy = "Shorten the input, lower the output limit, or choose a model with a larger window.",
        },
        UpstreamFault.TooLarge => new GatewayError(ErrorCode.PayloadTooLarge, "The body is larger than the model's provider takes.")
        {
            Remedy = "Send less, or choose another model. Reference large media by URL instead of embedding it.",
        },
        UpstreamFault.ContentPolicy => new GatewayError(ErrorCode.ProviderRejected, "The content policy of the model's provider refused the request.")
        {
            Remedy = "Change the content of the request, or choose another model.",
        },
        UpstreamFault.Operator => new GatewayError(ErrorCode.ProviderError, "The model's provider does not serve this deployment at the moment; the reason is in the log of this server.")
        {
            Remedy = "Choose another model, or tell the operator of this server: repeating the request does not help before the operator has acted.",
            Retryable = false,
        },
        // 429 stays 429, so that clients slow down as they would in front of the provider; the details name whose limit it is.
        UpstreamFault.RateLimited => new GatewayError(ErrorCode.RateLimitExceeded, "The rate limit of the model's provider was reached. It is the provider's limit, not one of your key.")
        {
            Details = new System.Text.Json.Nodes.JsonObject { ["limit"] = "provider" },
        },
        UpstreamFault.Busy => new GatewayError(ErrorCode.ProviderUnavailable, "The model's provider has no room for this request now. This is the provider's limit, not one of your key."),
        UpstreamFault.Quota => new GatewayError(ErrorCode.ProviderUnavailable, "The model's provider has no room for this request now. This is the provider's limit, not one of your key.")
        {
            Remedy = "Choose another model; waiting a little does not help. The reason is in the log of this server.",
        },
        UpstreamFault.Timeout => new GatewayError(ErrorCode.ProviderTimeout, "The model's provider did not answer in time."),
        _ => new GatewayError(ErrorCode.ProviderError, "The model's provider failed while it worked on the request."),
    };

    /// <summary>Whether the provider's word on when to come back means anything for the same request.</summary>
    public static bool MaySayWhen(UpstreamFault fault) => fault is UpstreamFault.RateLimited or UpstreamFault.Busy or UpstreamFault.Timeout or UpstreamFault.Broken;

    public static FailureClass ClassOf(UpstreamFault fault) => fault switch
    {
        UpstreamFault.Rejected or UpstreamFault.ContextLength or UpstreamFault.TooLarge or UpstreamFault.ContentPolicy => FailureClass.GiveBack,
        UpstreamFault.Operator or UpstreamFault.Quota => FailureClass.Failover,
        _ => FailureClass.Retry,
    };

    /// <summary>What an error means: by its words where providers are known to use them, else by its status, else by its type.</summary>
    /// <param name="status">The provider's HTTP status; null, or a good one, for an error event or an error inside a body.</param>
    /// <param name="body">What the error says.</param>
    public static UpstreamFault Classify(int? status, UpstreamErrorBody body)
    {
        var known = Recognise(body);
        // An error of the upstream's own upstream: proxies name its status in the body.
        var told = status is null or (>= 200 and < 300) or 500 or 502 ? body.Status ?? status : status;
        return told switch
        {
            // A rate limit of tokens speaks of tokens, too.
            null or (>= 200 and < 300) when known is UpstreamFault.ContextLength && ByWord(body) == UpstreamFault.RateLimited => UpstreamFault.RateLimited,
            null or (>= 200 and < 300) => known ?? ByWord(body),
            400 or 413 or 422 => known ?? (told == 413 ? UpstreamFault.TooLarge : UpstreamFault.Rejected),
            402 => UpstreamFault.Quota,
            403 or 404 when known is UpstreamFault.ContentPolicy or UpstreamFault.Quota => known.Value,
            401 or 403 or 404 or 405 or 410 or 501 or (>= 300 and < 400) => UpstreamFault.Operator,
            429 => known == UpstreamFault.Quota ? UpstreamFault.Quota : UpstreamFault.RateLimited,
            408 or 504 or 524 => UpstreamFault.Timeout,
            // Servers that let an overflow crash into their general handler (Ollama, llama.cpp of old, LM Studio).
            500 when known is UpstreamFault.ContextLength => UpstreamFault.ContextLength,
            500 when ByWord(body) is UpstreamFault.Busy or UpstreamFault.RateLimited => ByWord(body),
            409 or 424 or 425 or 498 or 502 or 503 or 529 or (>= 520 and <= 530) => UpstreamFault.Busy,
            >= 500 => UpstreamFault.Broken,
            >= 400 => known ?? UpstreamFault.Rejected,
            _ => UpstreamFault.Broken,
        };
    }

    // By the codes and the wordings that providers are known to use; null when nothing is recognised.
    private static UpstreamFault? Recognise(UpstreamErrorBody body)
    {
        if (Is(body, ContextLengthCodes) || Says(body, ContextLengthWords) || (Says(body, "token count") && Says(body, "exceeds"))) return UpstreamFault.ContextLength;
        if (Is(body, ContentPolicyCodes) || Says(body, ContentPolicyWords)) return UpstreamFault.ContentPolicy;
        if (Is(body, QuotaCodes) || Says(body, QuotaWords)) return UpstreamFault.Quota;
        if (Is(body, OperatorCodes) || Says(body, OperatorWords)) return UpstreamFault.Operator;
        if (Is(body, "request_too_large")) return UpstreamFault.TooLarge;
        return null;
    }

    private static readonly string[] ContextLengthCodes =
    [
        "context_length_exceeded", "exceed_context_size_error", "context_window_exceeded", "model_max_prompt_tokens_exceeded", "invalid_request_prompt_tokens", "prompt_too_long", "3051", "1261",
    ];

    // One row for each wording in use. OpenAI, vLLM, SGLang, TGI; Anthropic; Google; llama.cpp, Ollama, LM Studio; Mistral, DeepSeek, Groq, xAI, Cohere, Moonshot, Z.ai, Qwen, MiniMax.
    private static readonly string[] ContextLengthWords =
    [
        "maximum context length", "context window", "context length", "maximum model length", "max_model_len", "longer than the maximum model", "max_seq_len", "max_new_tokens` must be",
        "prompt is too long", "exceed context limit", "input is too long for",
        "exceeds the maximum number of tokens", "too many tokens",
        "available context size", "context size has been exceeded", "exceed_context_size", "when context the overflows", "n_ctx", "context size exceeded", "exceeds the context size", "larger than the context size",
        "tokens to keep from the initial prompt", "prompt is longer than", "maximum prompt length", "prompt exceeds max length", "input token length too long", "exceeded model token limit",
        "range of input length should be", "reduce the length of the messages", "reduce your prompt", "too large for model with",
    ];

    private static readonly string[] ContentPolicyCodes =
    [
        "content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation", "invalid_prompt", "moderation_blocked", "data_inspection_failed", "content_moderation_failed",
    ];

    private static readonly string[] ContentPolicyWords =
        ["content management policy", "usage policy", "safety system", "content filtering policy", "input was flagged", "content exists risk", "inappropriate content"];

    private static readonly string[] QuotaCodes =
        ["insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "billing_error", "exceeded_current_quota_error", "insufficient_credits", "insufficient_balance"];

    private static readonly string[] QuotaWords =
    [
        "credit balance", "insufficient balance", "insufficient credits", "spend limit", "spending limit", "exceeded your current quota, please check your plan", "all available credits",
        "doesn't have any credits",
    ];

    private static readonly string[] OperatorCodes =
    [
        "API_KEY_INVALID", "invalid_api_key", "authentication_error", "invalid_authentication_error", "AuthenticationError", "permission_error", "permission_denied", "PermissionDeniedError",
        "UNAUTHENTICATED", "model_not_found", "DeploymentNotFound", "not_found_error", "NotFoundError", "unsupported_country_region_territory", "unauthorized",
    ];

    private static readonly string[] OperatorWords = ["api key not valid", "api key expired", "invalid api key", "incorrect api key", "user location is not supported"];

    // For errors without a status.
    private static UpstreamFault ByWord(UpstreamErrorBody body)
    {
        foreach (var word in (ReadOnlySpan<string?>)[body.Code, body.Type, body.Reason])
        {
            switch (word?.ToUpperInvariant())
            {
                case "RATE_LIMIT_ERROR" or "RATE_LIMIT_EXCEEDED" or "RESOURCE_EXHAUSTED" or "RATE_LIMITED" or "RATE_LIMIT" or "TOO_MANY_REQUESTS" or "RATELIMITERROR" or "TOKENS" or "REQUESTS" or "1300":
                    return UpstreamFault.RateLimited;
                case "OVERLOADED_ERROR" or "SERVER_OVERLOADED" or "OVERLOADED" or "UNAVAILABLE" or "UNAVAILABLE_ERROR" or "SERVICE_UNAVAILABLE" or "SERVICE_TIER_CAPACITY_EXCEEDED" or "CAPACITY_EXCEEDED" or "3505":
                    return UpstreamFault.Busy;
                case "TIMEOUT_ERROR" or "TIMEOUT" or "DEADLINE_EXCEEDED":
                    return UpstreamFault.Timeout;
                case "INVALID_REQUEST_ERROR" or "INVALID_ARGUMENT" or "BADREQUESTERROR" or "INVALID_REQUEST" or "BAD_REQUEST" or "VALIDATION" or "VALIDATION_ERROR":
                    return UpstreamFault.Rejected;
            }
        }
        return UpstreamFault.Broken;
    }

    private static string Reason(UpstreamErrorBody body) =>
        UpstreamText.CleanCode(body.Code) is var code and not "no code" ? code
        : UpstreamText.CleanCode(body.Reason) is var reason and not "no code" ? reason
        : UpstreamText.CleanCode(body.Type);

    private static bool Is(UpstreamErrorBody body, params ReadOnlySpan<string> words)
    {
        foreach (var word in words)
        {
            if (string.Equals(body.Code, word, StringComparison.OrdinalIgnoreCase)
                || string.Equals(body.Type, word, StringComparison.OrdinalIgnoreCase)
                || string.Equals(body.Reason, word, StringComparison.OrdinalIgnoreCase))
            {
                return true;
            }
        }
        return false;
    }

    private static bool Says(UpstreamErrorBody body, params ReadOnlySpan<string> words)
    {
        foreach (var word in words)
        {
            if (body.Message?.Contains(word, StringComparison.OrdinalIgnoreCase) == true || body.Inner?.Contains(word, StringComparison.OrdinalIgnoreCase) == true) return true;
        }
        return false;
    }
}
