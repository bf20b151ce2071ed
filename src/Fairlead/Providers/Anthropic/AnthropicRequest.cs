using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Providers.Anthropic;

/// <summary>State that the parts of a request's translation share.</summary>
/// <param name="Call">Receives warnings.</param>
/// <param name="Conversation">The request.</param>
/// <param name="UpstreamModel">The model's name at the provider.</param>
internal sealed record AnthropicRequest(GatewayCall Call, ConversationRequest Conversation, string UpstreamModel)
{
    public CatalogueModel Model => Call.Model;

    public ClaudeGeneration Generation { get; } = ClaudeGeneration.Of(UpstreamModel);

    /// <summary>Output limit if neither the caller nor the catalogue has one: enough for a response, and allowed by every model.</summary>
    private const int DefaultMaxTokens = 4096;

    public int MaxTokens => Conversation.MaxOutputTokens ?? Model.MaxOutputTokens ?? DefaultMaxTokens;

    /// <summary>Whether the caller forces a call, which the API does not support together with thinking.</summary>
    public bool ForcesTool => Conversation.ToolChoice.Mode is ToolChoiceMode.Required or ToolChoiceMode.Named;

    /// <summary>Cache hints written so far.</summary>
    public int CacheMarks { get; set; }

    /// <summary>Whether the last assistant turn calls tools: its thinking is not sent, but a thinking budget would require it.</summary>
    public bool EndsInUnsignedCalls =>
        Conversation.Messages.LastOrDefault(message => message.Role == Role.Assistant)?.Parts.Any(part => part is ToolCallPart) == true;

    public void Ignored(string field, string why) => Call.Warn("parameter_ignored", $"'{field}' was left out: {why}");
}
