using System.Text;
using Fairlead.Conversation;

namespace Fairlead.StructuredOutput;

/// <summary>Asks a model once more for an output that did not satisfy its schema.</summary>
internal static class RepairRequest
{
    /// <summary>More than what is said to the model takes.</summary>
    public const int MostTokens = 4096;

    private const int MostPlaces = 4000;

    /// <summary>The conversation, the model's own answer, and what is wrong with it.</summary>
    public static ConversationRequest Make(ConversationRequest first, string answer, IReadOnlyList<SchemaViolation> violations)
    {
        var text = new StringBuilder("Your answer does not satisfy the JSON Schema that it has to satisfy:\n");
        foreach (var violation in violations)
        {
            if (text.Length > MostPlaces) break;
            text.Append("- ").Append(violation.Pointer.Length == 0 ? "the document" : violation.Pointer).Append(": ").Append(violation.Detail).Append('\n');
        }
        text.Append("Answer again with the whole corrected JSON document and nothing else.");
        IReadOnlyList<Message> messages = [.. first.Messages, .. answer.Length > 0 ? [Message.Of(Role.Assistant, answer)] : (Message[])[], Message.Of(Role.User, text.ToString())];
        return first with { Messages = messages };
    }
}
