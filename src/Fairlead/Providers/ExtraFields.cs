using System.Collections.Frozen;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;

namespace Fairlead.Providers;

/// <summary>
/// What becomes of <see cref="ConversationRequest.Extra"/> at a provider that has no counterpart of it: the same everywhere, so
/// that a failover from one provider to another does not change what a request may hold.
/// </summary>
internal static class ExtraFields
{
    // Fields that change what the response is; all others say only where, when or how cheaply it is made, or are of a later date
    // than this list.
    private static readonly FrozenSet<string> ChangeTheOutput = FrozenSet.ToFrozenSet(
        [
            "web_search_options", "audio", "moderation", "logit_bias",
            // Of vLLM and its like.
            "guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs", "min_tokens", "ignore_eos",
            "continue_final_message",
        ],
        StringComparer.Ordinal);

    /// <summary>Reports every field that is left out.</summary>
    /// <param name="request">The request.</param>
    /// <param name="ignored">Gets the name of a field, shortened where a client made it long.</param>
    /// <exception cref="GatewayErrorException">A field would change the response.</exception>
    public static void Omit(ConversationRequest request, Action<string> ignored)
    {
        foreach (var (given, value) in request.Extra ?? [])
        {
            // An absent value and a flag that is off ask for nothing.
            if (value is null || (value is JsonValue flag && flag.GetValueKind() == JsonValueKind.False)) continue;
            var name = RequestErrors.Shown(given);
            if (ChangeTheOutput.Contains(given))
            {
                throw new GatewayErrorException(GatewayError.Unsupported(name,
                    $"The provider of this model has no counterpart of '{name}', which would change the answer."));
            }
            ignored(name);
        }
    }
}
