using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>Writes the Response object of one call, at any moment of it. Not thread-safe.</summary>
internal sealed class ResponseObjectWriter(GatewayCall call)
{
    private byte[]? _echo;

    /// <summary>The dialect's status for the ending.</summary>
    public static string StatusOf(CallEnding? ending) => ending switch
    {
        null => "in_progress",
        { Error: not null } => "failed",
        { Outcome: var outcome } => outcome.ToStatus() switch
        {
            GenerationStatus.Completed => "completed",
            GenerationStatus.Incomplete => "incomplete",
            GenerationStatus.Cancelled => "cancelled",
            _ => "failed",
        },
    };

    /// <summary>Every unsuccessful end has an error: the matching one if the call has none of its own.</summary>
    public static GatewayError? ErrorOf(CallEnding? ending) => ending switch
    {
        null => new GatewayError(ErrorCode.InternalError, "The stream ended without a final status."),
        { Error: { } error } => error,
        { Outcome: Outcome.Deadline } =>
            new GatewayError(ErrorCode.DeadlineExceeded, "The deadline of the request passed before the response was complete."),
        { Outcome: Outcome.ProviderLost or Outcome.Failed } =>
            new GatewayError(ErrorCode.ProviderError, "The provider's stream was interrupted before the response was complete."),
        { Outcome: Outcome.Cancelled } => new GatewayError(ErrorCode.Conflict, "The call was cancelled before the response was complete."),
        _ => null,
    };

    /// <summary>The members that repeat the settings, and <c>store</c>.</summary>
    public void AppendSettings(ref JsonAppender json)
    {
        json.Raw(_echo ??= ResponseEcho.Of(call));
        json.Raw(",\"store\":"u8);
        json.Bool(call.Facts.Responses!.Stores);
    }

    /// <param name="json">Receives the object.</param>
    /// <param name="status">A status of the dialect.</param>
    /// <param name="items">The output.</param>
    /// <param name="withSeals">Whether encrypted reasoning is included.</param>
    /// <param name="extra">Whether the <c>fairlead</c> object follows, when the client has extensions on.</param>
    public void Append(ref JsonAppender json, string status, IReadOnlyList<OutputItem> items, bool withSeals, bool extra = true)
    {
        var final = status is not ("in_progress" or "queued");
        json.Raw("{\"id\":"u8);
        json.String(ResponseIds.Of(call));
        json.Raw(",\"object\":\"response\",\"created_at\":"u8);
        json.Number(call.StartedAt.ToUnixTimeSeconds());
        json.Raw(",\"status\":"u8);
        json.String(status);
        json.Raw(",\"completed_at\":"u8);
        if (status == "completed") json.Number(call.Time.GetUtcNow().ToUnixTimeSeconds());
        else json.Raw("null"u8);
        json.Raw(",\"error\":"u8);
        if (status == "failed") AppendError(ref json, ErrorOf(call.Ending)!);
        else json.Raw("null"u8);
        json.Raw(",\"incomplete_details\":"u8);
        if (status == "incomplete")
        {
            json.Raw("{\"reason\":"u8);
            json.String(call.Ending?.Outcome switch
            {
                Outcome.ContentFilter => "content_filter",
                Outcome.Budget => "budget",
                Outcome.InvalidOutput => "invalid_output",
                _ => "max_output_tokens",
            });
            json.Raw("}"u8);
        }
        else
        {
            json.Raw("null"u8);
        }
        json.Raw(",\"model\":"u8);
        // A request that is read again for its result has not queried the catalogue.
        json.String((Catalogue.CatalogueModel?)call.Model is null ? call.Facts.Model : call.ReportedModel);
        json.Raw(",\"output\":["u8);
        for (var i = 0; i < items.Count; i++)
        {
            if (i > 0) json.Raw(","u8);
            ResponseJson.AppendItem(ref json, items[i], withSeals);
        }
        json.Raw("]"u8);
        AppendSettings(ref json);
        json.Raw(",\"usage\":"u8);
        if (final && call.Ending is { } ending) ResponseJson.AppendUsage(ref json, ending.Usage);
        else json.Raw("null"u8);
        if (extra && call.Caller.Extensions)
        {
            json.Raw(",\"fairlead\":"u8);
            if (final) FairleadObjectWriter.AppendFinal(ref json, call);
            else FairleadObjectWriter.AppendStart(ref json, call);
        }
        json.Raw("}"u8);
    }

    private static void AppendError(ref JsonAppender json, GatewayError error)
    {
        json.Raw("{\"code\":"u8);
        json.String(error.Code switch
        {
            ErrorCode.RateLimitExceeded or ErrorCode.BudgetExceeded => "rate_limit_exceeded",
            // The dialect's list is closed; this is its code for an invalid request.
            _ when error.Definition.Status is >= 400 and < 500 => "invalid_prompt",
            _ => "server_error",
        });
        json.Raw(",\"message\":"u8);
        json.String(error.Message);
        json.Raw("}"u8);
    }
}
