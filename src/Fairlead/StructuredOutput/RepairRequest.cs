using System.Text;
using Fairlead.Conversation;

namespace Fairlead.StructuredOutput;

/// <summary>Asks a model again for an output that did not satisfy its schema.</summary>
internal static class RepairRequest
{
    /// <summary>More tokens than the repair message has.</summary>
    public const int MaxTokens = 4096;

    private const int MaxLocations = 4000;

    /// <summary>The conversation, the model's own response, and what is wrong with it.</summary>
    public static ConversationRequest Make(ConversationRequest first, string answer, IReadOnlyList<SchemaViolation> violations)
    {
        var text = new StringBuilder("Your response does not satisfy the required JSON Schema:\n");
        foreach (var violation in violations)
        {
            if (text.Length > MaxLocations) break;
            text.Append("- ").Append(violation.Pointer.Length == 0 ? "the document" : violation.Pointer).Append(": ")
                .Append(violation.Detail).Append('\n');
        }
        text.Append("Respond again with the complete corrected JSON document and nothing else.");
        IReadOnlyList<Message> messages = [.. first.Messages, .. answer.Length > 0 ? [Message.Of(Role.Assistant, answer)] : (Message[])[],
            Message.Of(Role.User, text.ToString())];
        return first with { Messages = messages };
    }
}
