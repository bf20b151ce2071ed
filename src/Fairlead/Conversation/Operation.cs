namespace Fairlead.Conversation;

/// <summary>What kind of work a call asks for.</summary>
internal enum Operation
{
    /// <summary>A conversation to be continued (chat, messages, text completions).</summary>
    Chat,
    Embeddings,

    /// <summary>Only counting; nothing is generated or charged.</summary>
    CountTokens,

    /// <summary>Judging texts. Nothing is generated; the input is charged if its model has a price.</summary>
    Moderation,
}
