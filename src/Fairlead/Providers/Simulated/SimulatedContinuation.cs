using Fairlead.Conversation;

namespace Fairlead.Providers.Simulated;

/// <summary>Continues a response whose start the request contains, as models do that accept a prefill. Pure.</summary>
internal static class SimulatedContinuation
{
    /// <summary>Removes the assistant's turn at the end of the conversation, and returns its text.</summary>
    public static string? TakeText(ref ConversationRequest conversation)
    {
        if (conversation.Messages is not [.., { Role: Role.Assistant } last]) return null;
        conversation = conversation with { Messages = [.. conversation.Messages.SkipLast(1)] };
        return string.Concat(last.Parts.OfType<TextPart>().Select(part => part.Text));
    }

    /// <summary>What of a response follows a text; all of it if it does not start with that text.</summary>
    public static SimulatedResponse After(SimulatedResponse response, string given)
    {
        if (response.Choices is not [var choice]) return response;
        var rest = new List<Step>();
        var position = 0;
        foreach (var step in choice.Steps)
        {
            var known = Math.Min(step.Text.Length, given.Length - position);
            if (step.Kind != StepKind.Text || known == 0)
            {
                rest.Add(step);
                continue;
            }
            if (!step.Text.AsSpan(0, known).SequenceEqual(given.AsSpan(position, known))) return response;
            position += known;
            if (known < step.Text.Length) rest.Add(step with { Text = step.Text[known..] });
        }
        return new SimulatedResponse([choice with { Steps = rest }]);
    }
}
