using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Pipeline;

namespace Fairlead.StructuredOutput;

/// <summary>
/// Checks an output against the schema of the request, while it is generated and when it is complete. An output that violates it ends the
/// generation as incomplete. If the request asks for repair, the model is asked again first: another attempt of the same call, charged and
/// recorded like any other.
/// </summary>
internal sealed class StructuredOutputStage(AttemptCharge charge) : IGatewayStage
{
    // Almost no call asks for it; the others pass without an extra step.
    public ValueTask<GatewayReply> InvokeAsync(GatewayCall call, GatewayStep next, CancellationToken cancellationToken) =>
        call.Facts.Structured is { } wish ? HoldAsync(call, wish, next, cancellationToken) : next(call, cancellationToken);

    private async ValueTask<GatewayReply> HoldAsync(GatewayCall call, OutputCheck wish, GatewayStep next,
        CancellationToken cancellationToken)
    {
        // A provider's own bytes are not parsed.
        call.MustTranslate = true;
        var reply = await next(call, cancellationToken);
        return reply switch
        {
            GatewayReply.Streaming streaming =>
                new GatewayReply.Streaming(new StructuredEvents(call, wish, streaming.Events, (violations, answer, token) =>
                AgainAsync(call, next, violations, answer, token))),
            GatewayReply.Complete complete => await CheckAsync(call, wish, complete, next, cancellationToken),
            _ => reply,
        };
    }

    private async ValueTask<GatewayReply> CheckAsync(GatewayCall call, OutputCheck wish, GatewayReply.Complete complete,
        GatewayStep next, CancellationToken cancellationToken)
    {
        if (Check(call, wish, complete) is not { } text || call.Violations is not { Count: > 0 } violations || !wish.Repairs)
            return complete;
        if (await AgainAsync(call, next, violations, text, cancellationToken) is not GatewayReply.Complete repaired) return complete;
        Check(call, wish, repaired);
        return repaired;
    }

    /// <summary>Notes the violations of a complete response; null when it need not satisfy the schema.</summary>
    private static string? Check(GatewayCall call, OutputCheck wish, GatewayReply.Complete complete)
    {
        call.Violations = null;
        if (call.Answering?.Meter.FinishReason != FinishReason.Stop || complete.Response.Choices is not [var choice, ..]
            || choice.Parts.Any(part => part is RefusalPart))
        {
            return null;
        }

        var text = string.Concat(choice.Parts.OfType<TextPart>().Select(part => part.Text));
        call.Violations = wish.Schema.Check(System.Text.Encoding.UTF8.GetBytes(text));
        call.Quality.SchemaValid = call.Violations.Count == 0;
        return text;
    }

    /// <summary>Asks again. Null when no deployment responded; the first response then stays.</summary>
    private async ValueTask<GatewayReply?> AgainAsync(GatewayCall call, GatewayStep next, IReadOnlyList<SchemaViolation> violations,
        string answer, CancellationToken cancellationToken)
    {
        var first = call.Answering!;
        first.Outcome = Outcome.InvalidOutput.ToWire();
        first.Duration = call.Time.GetElapsedTime(first.StartedAt);
        // Noted now, because the start record of the next attempt carries it: a kill during that attempt must not lose this one.
        charge.Fix(call, first);
        // The timer of the first attempt would end the wait for a slot. The next attempt starts its own.
        call.Cancellation.Arm(Timeout.InfiniteTimeSpan);
        var asked = call.Conversation;
        call.Conversation = RepairRequest.Make(asked, answer, violations);
        call.IsRepair = true;
        var reply = await next(call, cancellationToken);
        if (reply is GatewayReply.Streaming or GatewayReply.Complete) return reply;

        call.Conversation = asked;
        call.Answering = first;
        var why = reply is GatewayReply.Refused { Error: var error } ? error.Definition.Name : ErrorCatalogue.Get(ErrorCode.InternalError)
            .Name;
        call.Warn("repair_failed", $"The repair of the output was requested, but the attempt failed ({why}).");
        return null;
    }
}
