using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Pipeline;

namespace Fairlead.Rescue;

/// <summary>
/// Where a text that was sent may be given to a model as the start of its own turn, so that it continues there. Only plain text: a tool
/// call, a document of a schema, sealed reasoning or one of several choices cannot be continued like that.
/// </summary>
internal static class PrefillRules
{
    private const RequestFeatures Obstacles = RequestFeatures.JsonSchema | RequestFeatures.JsonObject | RequestFeatures.Logprobs
        | RequestFeatures.ReasoningEffort | RequestFeatures.AudioOutput | RequestFeatures.Prefill;

    /// <summary>Whether the text of a call is kept for that.</summary>
    public static bool MayContinue(GatewayCall call)
    {
        var facts = call.Facts;
        if ((facts.Features & Obstacles) != 0 || facts.ExpectedChoices > 1 || facts.Structured is not null || !facts.SchemaRange.IsEmpty)
            return false;
        if (!call.Model.Capabilities.Prefill || call.Dialect.Conversations is null || !call.Dialect.HasMessages) return false;
        var deployments = call.Model.Deployments;
        for (var i = 0; i < deployments.Count; i++)
        {
            if (Accepts(call, deployments[i])) return true;
        }
        return false;
    }

    /// <summary>Whether a deployment continues the last turn of a conversation if that is the model's own.</summary>
    public static bool Accepts(GatewayCall call, Deployment deployment) =>
        call.Model.Capabilities.Prefill && deployment.Provider.ContinuesAssistantTurn;

    /// <summary>The conversation with the text as the start of the answer; null where it cannot be continued.</summary>
    /// <param name="asked">The conversation of the call.</param>
    /// <param name="text">What was sent.</param>
    /// <param name="sentTokens">How many tokens that is.</param>
    public static ConversationRequest? Make(ConversationRequest asked, string? text, long sentTokens)
    {
        // Providers cut white space at its end, so the join would not be exact.
        if (string.IsNullOrEmpty(text) || char.IsWhiteSpace(text[^1])) return null;
        if (asked.Reasoning is { Mode: not (null or "disabled") } or { BudgetTokens: not null }) return null;
        if (asked.Messages is [.., { Role: Role.Assistant }]) return null;
        // Such a field of the client would contradict the gateway's own.
        if (asked.Extra is { } extra && (extra.ContainsKey("continue_final_message") || extra.ContainsKey("add_generation_prompt"))) return null;
        return asked with
        {
            Messages = [.. asked.Messages, Message.Of(Role.Assistant, text)],
            MaxOutputTokens = asked.MaxOutputTokens is { } max ? (int)Math.Max(1, max - sentTokens) : null,
        };
    }

    /// <summary>Whether the writer of a forwarded stream can go on with translated events.</summary>
    public static bool MayTranslate(GatewayCall call, bool isNative) =>
        !isNative || call.Dialect.Native?.Streams is { ContinuesTranslated: true };
}
