using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Pipeline;

namespace Fairlead.StructuredOutput;

/// <summary>
/// Holds an output against the schema that the request gave, as it is made and when it is whole. One that does not satisfy it ends the generation as
/// incomplete, after it was asked for once more where the request says so: another attempt of the same call, charged and on record like any other.
/// </summary>
internal sealed class StructuredOutputStage(AttemptCharge charge) : IGatewayStage
{
    // Nearly no call asks for it; the others pass without a step of their own.
    public ValueTask<GatewayReply> InvokeAsync(GatewayCall call, GatewayStep next, CancellationToken cancellationToken) =>
        call.Facts.Structured is { } wish ? HoldAsync(call, wish, next, cancellationToken) : next(call, cancellationToken);

    private async ValueTask<GatewayReply> HoldAsync(GatewayCall call, StructuredWish wish, GatewayStep next, CancellationToken cancellationToken)
    {
        // A provider's own bytes are not read along.
        call.InInnerLanguage = true;
        var reply = await next(call, cancellationToken);
        return reply switch
        {
            GatewayReply.Streaming streaming => new GatewayReply.Streaming(new StructuredEvents(call, wish, streaming.Events, (violations, answer, token) => AgainAsync(call, next, violations, answer, token))),
            GatewayReply.Complete complete => await CheckAsync(call, wish, complete, next, cancellationToken),
            _ => reply,
        };
    }

    private async ValueTask<GatewayReply> CheckAsync(GatewayCall call, StructuredWish wish, GatewayReply.Complete complete, GatewayStep next, CancellationToken cancellationToken)
    {
        if (Check(call, wish, complete) is not { } text || call.Violations is not { Count: > 0 } violations || !wish.Repairs) return complete;
        if (await AgainAsync(call, next, violations, text, cancellationToken) is not GatewayReply.Complete repaired) return complete;
        Check(call, wish, repaired);
        return repaired;
    }

    /// <summary>Notes what is wrong with a whole answer; null when it is none that has to satisfy the schema.</summary>
    private static string? Check(GatewayCall call, StructuredWish wish, GatewayReply.Complete complete)
    {
        call.Violations = null;
        if (call.Answering?.Meter.FinishReason != FinishReason.Stop || complete.Answer.Choices is not [var choice, ..] || choice.Parts.Any(part => part is RefusalPart)) return null;
        var text = string.Concat(choice.Parts.OfType<TextPart>().Select(part => part.Text));
        call.Violations = wish.Schema.Check(System.Text.Encoding.UTF8.GetBytes(text));
        call.Quality.SchemaValid = call.Violations.Count == 0;
        return text;
    }

    /// <summary>Asks once more. Null when nobody answered; then the first answer stands as it is.</summary>
    private async ValueTask<GatewayReply?> AgainAsync(GatewayCall call, GatewayStep next, IReadOnlyList<SchemaViolation> violations, string answer, CancellationToken cancellationToken)
    {
        var first = call.Answering!;
        first.Outcome = Outcome.InvalidOutput.ToWire();
        first.Duration = call.Time.GetElapsedTime(first.StartedAt);
        // Now, since the record of the next attempt's start carries it: a kill during that one must not forget this one.
        charge.Fix(call, first);
        var asked = call.Conversation;
        call.Conversation = RepairRequest.Make(asked, answer, violations);
        var reply = await next(call, cancellationToken);
        if (reply is GatewayReply.Streaming or GatewayReply.Complete) return reply;

        call.Conversation = asked;
        call.Answering = first;
        var why = reply is GatewayReply.Refused { Error: var error } ? error.Definition.Name : ErrorCatalogue.Get(ErrorCode.InternalError).Name;
        call.Warn("repair_failed", $"The output was asked for once more, and nobody answered ({why}).");
        return null;
    }
}
