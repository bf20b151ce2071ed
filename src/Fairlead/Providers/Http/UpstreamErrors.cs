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
        var deployment = attempt.Deployment;
        var reason = Reason(parsed);
        if (fault is UpstreamFault.Operator or UpstreamFault.Quota)
        {
            UpstreamLog.OperatorMustAct(logger, deployment.ProviderName, deployment.Name, (int)status, reason, UpstreamText.Clean(parsed.Message) ?? "(its text is withheld)");
        }
        else if (fault is UpstreamFault.RateLimited or UpstreamFault.Busy or UpstreamFault.Timeout or UpstreamFault.Broken)
        {
            UpstreamLog.Answered(logger, deployment.ProviderName, deployment.Name, (int)status, reason);
        }
        var error = ToError(fault, parsed.Message, sameDialect ? parsed.Parameter : null);
        if (MaySayWhen(fault))
        {
            error = error with { RetryAfter = RetryAfterReader.Read(headers, time) ?? parsed.RetryDelay };
        }
        return new ProviderReply.Failed(error, ClassOf(fault), (int)status);
    }

    /// <summary>The error in which a stream ends, when the provider's own error event broke it off.</summary>
    public static GatewayError FromEvent(UpstreamError error)
    {
        var parsed = new UpstreamErrorBody(error.Type, null, null, error.Message);
        // Without a status only the type tells; an unknown one is the provider's fault.
        return ToError(Recognise(parsed) ?? ByType(error.Type), error.Message, null);
    }

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
        UpstreamFault.Operator => new GatewayError(ErrorCode.ProviderError, "The model's provider does not serve this deployment at the moment; the reason is in the log of this server."),
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

    public static UpstreamFault Classify(int status, UpstreamErrorBody body) => status switch
    {
        400 or 413 or 422 => Recognise(body) is { } known and not UpstreamFault.Busy and not UpstreamFault.RateLimited and not UpstreamFault.Broken and not UpstreamFault.Timeout ? known : status == 413 ? UpstreamFault.TooLarge : UpstreamFault.Rejected,
        402 => UpstreamFault.Quota,
        401 or 403 or 404 or 405 or 410 or 501 or (>= 300 and < 400) => UpstreamFault.Operator,
        429 => Recognise(body) == UpstreamFault.Quota ? UpstreamFault.Quota : UpstreamFault.RateLimited,
        408 or 504 or 524 => UpstreamFault.Timeout,
        409 or 424 or 425 or 502 or 503 or 529 => UpstreamFault.Busy,
        >= 500 => UpstreamFault.Broken,
        >= 400 => UpstreamFault.Rejected,
        _ => UpstreamFault.Broken,
    };

    // By the codes and the wordings that providers are known to use; null when nothing is recognised.
    private static UpstreamFault? Recognise(UpstreamErrorBody body)
    {
        if (Is(body, "context_length_exceeded")
            || Says(body, "maximum context length") || Says(body, "context window") || Says(body, "prompt is too long")
            || Says(body, "context length") || Says(body, "exceeds the maximum number of tokens") || Says(body, "too many tokens")
            || (Says(body, "input token count") && Says(body, "exceeds")) || Says(body, "exceed context limit") || Says(body, "max_model_len"))
        {
            return UpstreamFault.ContextLength;
        }
        if (Is(body, "content_filter") || Is(body, "content_policy_violation") || Is(body, "ResponsibleAIPolicyViolation") || Is(body, "invalid_prompt")
            || Is(body, "moderation_blocked") || Says(body, "content management policy") || Says(body, "usage policy") || Says(body, "safety system")
            || Says(body, "content filtering policy"))
        {
            return UpstreamFault.ContentPolicy;
        }
        if (Is(body, "insufficient_quota") || Is(body, "billing_hard_limit_reached") || Is(body, "billing_not_active") || Is(body, "billing_error")
            || Says(body, "credit balance") || Says(body, "insufficient balance") || Says(body, "spend limit") || Says(body, "exceeded your current quota, please check your plan"))
        {
            return UpstreamFault.Quota;
        }
        if (Is(body, "API_KEY_INVALID") || Is(body, "invalid_api_key") || Is(body, "authentication_error") || Is(body, "permission_error") || Is(body, "permission_denied")
            || Is(body, "model_not_found") || Is(body, "DeploymentNotFound") || Is(body, "not_found_error") || Is(body, "unsupported_country_region_territory")
            || Says(body, "api key not valid") || Says(body, "api key expired") || Says(body, "user location is not supported"))
        {
            return UpstreamFault.Operator;
        }
        return null;
    }

    private static UpstreamFault ByType(string? type) => type switch
    {
        "rate_limit_error" or "rate_limit_exceeded" or "RESOURCE_EXHAUSTED" or "tokens" or "requests" or "429" => UpstreamFault.RateLimited,
        "overloaded_error" or "server_overloaded" or "overloaded" or "UNAVAILABLE" or "503" or "529" => UpstreamFault.Busy,
        "timeout_error" or "timeout" or "DEADLINE_EXCEEDED" or "408" or "504" => UpstreamFault.Timeout,
        "invalid_request_error" or "INVALID_ARGUMENT" or "BadRequestError" or "400" => UpstreamFault.Rejected,
        _ => UpstreamFault.Broken,
    };

    private static string Reason(UpstreamErrorBody body) =>
        UpstreamText.CleanCode(body.Code) is var code and not "no code" ? code
        : UpstreamText.CleanCode(body.Reason) is var reason and not "no code" ? reason
        : UpstreamText.CleanCode(body.Type);

    private static bool Is(UpstreamErrorBody body, string word) =>
        string.Equals(body.Code, word, StringComparison.OrdinalIgnoreCase)
        || string.Equals(body.Type, word, StringComparison.OrdinalIgnoreCase)
        || string.Equals(body.Reason, word, StringComparison.OrdinalIgnoreCase);

    private static bool Says(UpstreamErrorBody body, string words) => body.Message?.Contains(words, StringComparison.OrdinalIgnoreCase) == true;
}
