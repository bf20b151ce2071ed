using System.Net;
using System.Net.Http.Headers;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Microsoft.Extensions.Logging;

namespace Fairlead.Providers.Http;

/// <summary>The meaning of a provider's error, before it becomes a reply.</summary>
internal enum UpstreamErrorKind
{
    /// <summary>The request is invalid: the provider would reject it again.</summary>
    Rejected,

    /// <summary>The request is longer than the model's window.</summary>
    ContextLength,

    /// <summary>The body is larger than the provider accepts.</summary>
    TooLarge,

    /// <summary>The provider's content policy.</summary>
    ContentPolicy,

    /// <summary>Only the operator can fix it: key, permission, billing, unknown model, wrong address.</summary>
    Operator,

    /// <summary>The operator's quota or credit is used up; a short wait does not help.</summary>
    Quota,

    /// <summary>The provider's own rate limit.</summary>
    RateLimited,

    /// <summary>No capacity now.</summary>
    Busy,

    /// <summary>It did not respond in time.</summary>
    Timeout,

    /// <summary>An internal error of the provider.</summary>
    Broken,
}

/// <summary>
/// The one place that converts a provider's failure to ours: the cause, whether a retry may help, and which of the provider's
/// text a client may read. An invalid key of ours is never shown as an invalid key of the caller.
/// </summary>
internal static class UpstreamErrors
{
    /// <summary>The reply for a response with an error status. Logs what operators must know.</summary>
    /// <param name="sameDialect">Whether the provider received the client's own body, so that its field names are the client's.</param>
    public static GatewayReply.AttemptFailed FromResponse(
        HttpStatusCode status, HttpResponseHeaders headers, ReadOnlyMemory<byte> body, Attempt attempt, bool sameDialect, TimeProvider time,
        ILogger logger)
    {
        var parsed = UpstreamErrorBody.Parse(body);
        var kind = Classify((int)status, parsed);
        Log(kind, (int)status, parsed, attempt, logger);
        var error = ToError(kind, parsed.Message, sameDialect ? parsed.Parameter : null);
        if (MaySayWhen(kind))
        {
            error = error with { RetryAfter = RetryAfterReader.Read(headers, time) ?? parsed.RetryDelay };
        }
        return new GatewayReply.AttemptFailed(error, ClassOf(kind), (int)status);
    }

    /// <summary>Whether a response means that the provider does not accept the key, so that another key may be accepted.</summary>
    public static bool RejectsKey(int status, ReadOnlyMemory<byte> body) => status switch
    {
        401 => Classify(status, UpstreamErrorBody.Parse(body)) == UpstreamErrorKind.Operator,
        // 400 is Google's status for an invalid key. A 403 may concern one model or a region alone.
        400 or 403 => UpstreamErrorBody.Parse(body) is var parsed && (Is(parsed, KeyCodes) || Says(parsed, KeyTexts)),
        _ => false,
    };

    /// <summary>Logs what operators must know of an error event.</summary>
    public static void LogEvent(UpstreamErrorBody body, Attempt attempt, ILogger logger)
    {
        var kind = Classify(null, body);
        if (kind is UpstreamErrorKind.Operator or UpstreamErrorKind.Quota) Log(kind, attempt.UpstreamStatus ?? 0, body, attempt, logger);
        else UpstreamLog.BrokeOff(logger, attempt.Deployment.ProviderName, attempt.Deployment.Name, Reason(body));
    }

    private static void Log(UpstreamErrorKind kind, int status, UpstreamErrorBody parsed, Attempt attempt, ILogger logger)
    {
        var deployment = attempt.Deployment;
        var reason = Reason(parsed);
        if (kind is UpstreamErrorKind.Operator or UpstreamErrorKind.Quota)
        {
            UpstreamLog.OperatorMustAct(logger, deployment.ProviderName, deployment.Name, status, reason, UpstreamText.Clean(parsed.Message)
                ?? "(its text is withheld)");
        }
        else if (kind is UpstreamErrorKind.RateLimited or UpstreamErrorKind.Busy or UpstreamErrorKind.Timeout or UpstreamErrorKind.Broken)
        {
            UpstreamLog.Answered(logger, deployment.ProviderName, deployment.Name, status, reason);
        }
    }

    /// <summary>The error that ends a stream after the provider's own error event. There is no status, so only the body counts.</summary>
    public static GatewayError FromEvent(UpstreamErrorBody body) =>
        ToError(Classify(null, body), body.Message, null) with { RetryAfter = body.RetryDelay };

    /// <summary>The same for an event that could not be read completely.</summary>
    public static GatewayError FromEvent(UpstreamError error) => FromEvent(new UpstreamErrorBody(error.Type, null, null, error.Message));

    /// <summary>
    /// The retry advice for a stream that failed before its first content; its status was a success, so only its error counts.
    /// </summary>
    public static FailureClass ClassOf(GatewayError error) => error.Code switch
    {
        ErrorCode.ProviderRejected or ErrorCode.ContextLengthExceeded or ErrorCode.PayloadTooLarge or ErrorCode.Overloaded =>
            FailureClass.GiveBack,
        // After a timeout or a rejected operator key, the same deployment is not tried again.
        ErrorCode.ProviderTimeout => FailureClass.Failover,
        _ => error.IsRetryable ? FailureClass.Retry : FailureClass.Failover,
    };

    public static GatewayError ToError(UpstreamErrorKind kind, string? text, string? parameter) => kind switch
    {
        UpstreamErrorKind.Rejected => new GatewayError(ErrorCode.ProviderRejected,
            UpstreamText.Clean(text) is { } clean
                ? $"The model's provider rejected the request: {clean}"
                : "The model's provider rejected the request.")
        {
            Parameter = UpstreamText.CleanParameter(parameter),
        },
        UpstreamErrorKind.ContextLength => new GatewayError(ErrorCode.ContextLengthExceeded,
            "The request is larger than the model's context window: input and requested output together exceed it, as counted by the "
                + "model's provider.")
        {
            Parameter = "messages",
            Remedy = "Shorten the input, lower the output limit, or choose a model with a larger window.",
        },
        UpstreamErrorKind.TooLarge => new GatewayError(ErrorCode.PayloadTooLarge, "The body is larger than the model's provider accepts.")
        {
            Remedy = "Send less, or choose another model. Reference large media by URL instead of embedding it.",
        },
        UpstreamErrorKind.ContentPolicy =>
            new GatewayError(ErrorCode.ProviderRejected, "The content policy of the model's provider rejected the request.")
        {
            Remedy = "Change the content of the request, or choose another model.",
            IsContentRejection = true,
        },
        UpstreamErrorKind.Operator =>
            new GatewayError(ErrorCode.ProviderError,
                "The model's provider does not serve this deployment at the moment; the server's log has the reason.")
        {
            Remedy = "Choose another model, or contact the operator of this server. Retrying does not help until the operator has fixed "
                + "the configuration.",
            Retryable = false,
        },
        // 429 stays 429, so that clients slow down as they would at the provider; the details name whose limit it is.
        UpstreamErrorKind.RateLimited =>
            new GatewayError(ErrorCode.RateLimitExceeded,
                "The rate limit of the model's provider was reached. This is the provider's limit, not a limit of your key.")
        {
            Details = new System.Text.Json.Nodes.JsonObject { ["limit"] = "provider" },
        },
        UpstreamErrorKind.Busy =>
            new GatewayError(ErrorCode.ProviderUnavailable,
                "The model's provider has no capacity for this request now. This is the provider's limit, not a limit of your key."),
        UpstreamErrorKind.Quota =>
            new GatewayError(ErrorCode.ProviderUnavailable,
                "The model's provider has no capacity for this request now. This is the provider's limit, not a limit of your key.")
        {
            Remedy = "Choose another model; a short wait does not help. The server's log has the reason.",
        },
        UpstreamErrorKind.Timeout => new GatewayError(ErrorCode.ProviderTimeout, "The model's provider did not respond in time."),
        _ => new GatewayError(ErrorCode.ProviderError, "The model's provider failed while processing the request."),
    };

    /// <summary>Whether the provider's retry time applies to the same request.</summary>
    public static bool MaySayWhen(UpstreamErrorKind kind) =>
        kind is UpstreamErrorKind.RateLimited or UpstreamErrorKind.Busy or UpstreamErrorKind.Timeout or UpstreamErrorKind.Broken;

    public static FailureClass ClassOf(UpstreamErrorKind kind) => kind switch
    {
        UpstreamErrorKind.Rejected or UpstreamErrorKind.ContextLength or UpstreamErrorKind.TooLarge or UpstreamErrorKind.ContentPolicy =>
            FailureClass.GiveBack,
        UpstreamErrorKind.Operator or UpstreamErrorKind.Quota => FailureClass.Failover,
        _ => FailureClass.Retry,
    };

    /// <summary>Classifies an error: by known texts of providers, otherwise by its status, otherwise by its type.</summary>
    /// <param name="status">The provider's HTTP status; null, or a success, for an error event or an error inside a body.</param>
    /// <param name="body">The content of the error.</param>
    public static UpstreamErrorKind Classify(int? status, UpstreamErrorBody body)
    {
        var known = Recognise(body);
        // An error of the upstream's own upstream: proxies report its status in the body.
        var effective = status is null or (>= 200 and < 300) or 500 or 502 ? body.Status ?? status : status;
        return effective switch
        {
            // A rate limit of tokens mentions tokens, too.
            null or (>= 200 and < 300) when known is UpstreamErrorKind.ContextLength && ByText(body) == UpstreamErrorKind.RateLimited =>
                UpstreamErrorKind.RateLimited,
            null or (>= 200 and < 300) => known ?? ByText(body),
            400 or 413 or 422 => known ?? (effective == 413 ? UpstreamErrorKind.TooLarge : UpstreamErrorKind.Rejected),
            402 => UpstreamErrorKind.Quota,
            403 or 404 when known is UpstreamErrorKind.ContentPolicy or UpstreamErrorKind.Quota => known.Value,
            401 or 403 or 404 or 405 or 410 or 501 or (>= 300 and < 400) => UpstreamErrorKind.Operator,
            429 => known == UpstreamErrorKind.Quota ? UpstreamErrorKind.Quota : UpstreamErrorKind.RateLimited,
            408 or 504 or 524 => UpstreamErrorKind.Timeout,
            // Servers whose general error handler reports an overflow (Ollama, older llama.cpp, LM Studio).
            500 when known is UpstreamErrorKind.ContextLength => UpstreamErrorKind.ContextLength,
            500 when ByText(body) is UpstreamErrorKind.Busy or UpstreamErrorKind.RateLimited => ByText(body),
            409 or 424 or 425 or 498 or 502 or 503 or 529 or (>= 520 and <= 530) => UpstreamErrorKind.Busy,
            >= 500 => UpstreamErrorKind.Broken,
            >= 400 => known ?? UpstreamErrorKind.Rejected,
            _ => UpstreamErrorKind.Broken,
        };
    }

    // By the known codes and texts of providers; null when nothing matches.
    private static UpstreamErrorKind? Recognise(UpstreamErrorBody body)
    {
        if (Is(body, ContextLengthCodes) || Says(body, ContextLengthTexts) || (Says(body, "token count") && Says(body, "exceeds")))
        {
            return UpstreamErrorKind.ContextLength;
        }
        if (Is(body, ContentPolicyCodes) || Says(body, ContentPolicyTexts)) return UpstreamErrorKind.ContentPolicy;
        if (Is(body, QuotaCodes) || Says(body, QuotaTexts)) return UpstreamErrorKind.Quota;
        if (Is(body, OperatorCodes) || Says(body, OperatorTexts)) return UpstreamErrorKind.Operator;
        if (Is(body, "request_too_large")) return UpstreamErrorKind.TooLarge;
        return null;
    }

    private static readonly string[] ContextLengthCodes =
    [
        "context_length_exceeded", "exceed_context_size_error", "context_window_exceeded", "model_max_prompt_tokens_exceeded",
        "invalid_request_prompt_tokens", "prompt_too_long", "3051", "1261",
    ];

    // One row per known text. OpenAI, vLLM, SGLang, TGI; Anthropic; Google; llama.cpp, Ollama, LM Studio; Mistral, DeepSeek, Groq, xAI,
    // Cohere, Moonshot, Z.ai, Qwen, MiniMax.
    private static readonly string[] ContextLengthTexts =
    [
        "maximum context length", "context window", "context length", "maximum model length", "max_model_len",
        "longer than the maximum model", "max_seq_len", "max_new_tokens` must be", "prompt is too long", "exceed context limit",
        "input is too long for", "exceeds the maximum number of tokens", "too many tokens", "available context size",
        "context size has been exceeded", "exceed_context_size", "when context the overflows", "n_ctx", "context size exceeded",
        "exceeds the context size", "larger than the context size", "tokens to keep from the initial prompt", "prompt is longer than",
        "maximum prompt length", "prompt exceeds max length", "input token length too long", "exceeded model token limit",
        "range of input length should be", "reduce the length of the messages", "reduce your prompt", "too large for model with",
    ];

    private static readonly string[] ContentPolicyCodes =
    [
        "content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation", "invalid_prompt", "moderation_blocked",
        "data_inspection_failed", "content_moderation_failed",
    ];

    private static readonly string[] ContentPolicyTexts =
        ["content management policy", "usage policy", "safety system", "content filtering policy", "input was flagged",
            "content exists risk", "inappropriate content"];

    private static readonly string[] QuotaCodes =
        ["insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "billing_error", "exceeded_current_quota_error",
            "insufficient_credits", "insufficient_balance"];

    private static readonly string[] QuotaTexts =
    [
        "credit balance", "insufficient balance", "insufficient credits", "spend limit", "spending limit",
        "exceeded your current quota, please check your plan", "all available credits",
        "doesn't have any credits",
    ];

    private static readonly string[] KeyCodes = ["API_KEY_INVALID", "invalid_api_key"];

    private static readonly string[] KeyTexts = ["api key not valid", "api key expired", "invalid api key", "incorrect api key"];

    private static readonly string[] OperatorCodes =
    [
        .. KeyCodes, "authentication_error", "invalid_authentication_error", "AuthenticationError",
        "permission_error", "permission_denied", "PermissionDeniedError",
        "UNAUTHENTICATED", "model_not_found", "DeploymentNotFound", "not_found_error", "NotFoundError",
        "unsupported_country_region_territory", "unauthorized",
    ];

    private static readonly string[] OperatorTexts = [.. KeyTexts, "user location is not supported"];

    // For errors without a status.
    private static UpstreamErrorKind ByText(UpstreamErrorBody body)
    {
        foreach (var word in (ReadOnlySpan<string?>)[body.Code, body.Type, body.Reason])
        {
            switch (word?.ToUpperInvariant())
            {
                case "RATE_LIMIT_ERROR" or "RATE_LIMIT_EXCEEDED" or "RESOURCE_EXHAUSTED" or "RATE_LIMITED" or "RATE_LIMIT"
                    or "TOO_MANY_REQUESTS" or "RATELIMITERROR" or "TOKENS" or "REQUESTS" or "1300":
                    return UpstreamErrorKind.RateLimited;
                case "OVERLOADED_ERROR" or "SERVER_OVERLOADED" or "OVERLOADED" or "UNAVAILABLE" or "UNAVAILABLE_ERROR"
                    or "SERVICE_UNAVAILABLE" or "SERVICE_TIER_CAPACITY_EXCEEDED" or "CAPACITY_EXCEEDED" or "3505":
                    return UpstreamErrorKind.Busy;
                case "TIMEOUT_ERROR" or "TIMEOUT" or "DEADLINE_EXCEEDED":
                    return UpstreamErrorKind.Timeout;
                case "INVALID_REQUEST_ERROR" or "INVALID_ARGUMENT" or "BADREQUESTERROR" or "INVALID_REQUEST" or "BAD_REQUEST"
                    or "VALIDATION" or "VALIDATION_ERROR":
                    return UpstreamErrorKind.Rejected;
            }
        }
        return UpstreamErrorKind.Broken;
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
            if (body.Message?.Contains(word, StringComparison.OrdinalIgnoreCase) == true
                || body.Inner?.Contains(word, StringComparison.OrdinalIgnoreCase) == true)
            {
                return true;
            }
        }
        return false;
    }
}
