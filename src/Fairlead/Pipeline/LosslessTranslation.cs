using Fairlead.Errors;
using Fairlead.Memory;

namespace Fairlead.Pipeline;

/// <summary>
/// Whether the canonical form expresses a request completely, so that it may be translated although its provider speaks the client's own
/// dialect.
/// </summary>
internal static class LosslessTranslation
{
    /// <summary>
    /// Has the response of the call come in the canonical form: it does anyway, or the request is translated without a loss. False if that
    /// is impossible; then nothing changes.
    /// </summary>
    public static bool TryPrepare(GatewayCall call)
    {
        if (call.MustTranslate) return true;
        foreach (var deployment in call.Model.Deployments)
        {
            if (!deployment.Provider.Speaks(call.Dialect)) continue;
            return call.MustTranslate = call.Dialect.Conversations?.KeepsMeaning(call) == true && Translates(call);
        }
        return true;
    }

    /// <summary>Translates the request, if nothing is lost. Tried on another call, so that this one gets no warnings.</summary>
    public static bool TryTranslate(GatewayCall call) => call.Dialect.Conversations is { WarnsOfEveryLoss: true } && Translates(call);

    private static bool Translates(GatewayCall call)
    {
        var trial = new GatewayCall(call.RequestId, call.GenerationId, call.Dialect, call.Caller, call.Time)
        {
            Memory = call.Memory,
            Body = call.Body,
            Facts = call.Facts,
            AnthropicVersion = call.AnthropicVersion,
            AnthropicBeta = call.AnthropicBeta,
        };
        if (call.OutputCap is { } cap) trial.CapOutput(cap);
        try
        {
            // Fields that only the native server knows may produce output that only the native form expresses.
            if (trial.Conversation.Extra is null or { Count: 0 } && trial.Warnings.Count == 0)
            {
                // Translated once: the conversation of a large request is large.
                call.Conversation = trial.Conversation;
                return true;
            }
            call.Body.Uncount(call.ConversationBytes);
            return false;
        }
        catch (GatewayErrorException refused) when (refused is not MemoryExhaustedException)
        {
            return false;
        }
    }
}
