using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Dialects;

/// <summary>Translates the requests of one dialect to the canonical conversation. Thread-safe.</summary>
internal interface IConversationDialect
{
    /// <summary>
    /// Whether the translation keeps the whole meaning of a request, or adds a warning. Only then may a stored generation use the
    /// translation although its provider uses the client's dialect.
    /// </summary>
    bool WarnsOfEveryLoss => false;

    /// <summary>
    /// Whether the translation of this request keeps its whole meaning, or adds a warning. Only then may its response be kept or shared in the
    /// canonical form although its provider uses the client's dialect.
    /// </summary>
    bool KeepsMeaning(GatewayCall call) => WarnsOfEveryLoss;

    /// <summary>Translates a request. Called only after <see cref="IRequestReader.Read"/> succeeded.</summary>
    /// <exception cref="GatewayErrorException">The request contains something that a conversation cannot express.</exception>
    ConversationRequest ToConversation(GatewayCall call);
}
