using Fairlead.Conversation;

namespace Fairlead.Streaming.Verification;

/// <summary>Compares another run with everything that a stream has sent. Not thread-safe.</summary>
internal sealed class OutputReplay(OutputDigest sent)
{
    private readonly Dictionary<int, ChoiceReplay> _choices = sent.Choices.ToDictionary(choice => choice,
        choice => new ChoiceReplay(sent.Find(choice)));

    /// <summary>What was sent.</summary>
    public OutputDigest Sent => sent;

    /// <summary>Whether the run has made another output than what was sent.</summary>
    public bool Differs => _choices.Values.Any(static choice => choice.Differs);

    /// <summary>Whether everything that was sent is reproduced, so that new output may follow.</summary>
    public bool IsCaughtUp => _choices.Values.All(static choice => choice.IsCaughtUp);

    /// <summary>The comparison of one choice.</summary>
    public ChoiceReplay Of(int choice)
    {
        if (!_choices.TryGetValue(choice, out var known)) _choices[choice] = known = new ChoiceReplay(null);
        return known;
    }

    /// <summary>What of an event of the inner language is new for the client; null for nothing.</summary>
    public GenerationEvent? Take(GenerationEvent generationEvent)
    {
        var choice = Of(generationEvent.Choice);
        switch (generationEvent)
        {
            case ResponseStarted: return null;
            case TextDelta text:
                if (text.Text.Length == 0) return choice.IsCaughtUp ? text : null;
                choice.Enter(DigestPart.Text);
                return choice.Take(text.Text) switch
                {
                    0 => text,
                    var known when known == text.Text.Length => null,
                    // The probabilities belong to whole tokens.
                    _ when text.Logprobs is not null => Failed(choice),
                    var known => text with { Text = text.Text[known..] },
                };
            case RefusalDelta refusal:
                if (refusal.Text.Length == 0) return choice.IsCaughtUp ? refusal : null;
                choice.Enter(DigestPart.Refusal);
                var refused = choice.Take(refusal.Text);
                return refused == refusal.Text.Length ? null : refusal with { Text = refusal.Text[refused..] };
            case ReasoningDelta reasoning: return Take(reasoning, choice);
            case ToolCallStarted started:
                return choice.TakeStart(DigestPart.ToolCall, started.Index, started.Name) ? started : null;
            case ToolCallDelta delta:
                if (delta.Arguments.Length == 0) return choice.IsCaughtUp ? delta : null;
                choice.Enter(DigestPart.ToolArguments, delta.Index);
                var argued = choice.Take(delta.Arguments);
                return argued == delta.Arguments.Length ? null : delta with { Arguments = delta.Arguments[argued..] };
            case ChoiceFinished finished: return choice.Enter(DigestPart.Finish, (int)finished.Reason) ? finished : null;
            case AnnotationsAdded or AudioDelta: return choice.IsCaughtUp ? generationEvent : Failed(choice);
            default: return generationEvent;
        }
    }

    private static ReasoningDelta? Take(ReasoningDelta reasoning, ChoiceReplay choice)
    {
        if (reasoning.Redacted is not null) return choice.IsCaughtUp ? reasoning : Failed(choice) as ReasoningDelta;
        var known = 0;
        if (reasoning.Text.Length > 0)
        {
            choice.Enter(DigestPart.Reasoning);
            known = choice.Take(reasoning.Text);
        }
        var isSealed = reasoning.Signature is { Length: > 0 };
        var showsSeal = isSealed && choice.Mark(DigestPart.Signature);
        if (known == 0 && (showsSeal || (!isSealed && choice.IsCaughtUp))) return reasoning;
        var rest = reasoning.Text[known..];
        if (rest.Length == 0 && !showsSeal) return null;
        return reasoning with { Text = rest, Signature = showsSeal ? reasoning.Signature : null };
    }

    private static GenerationEvent? Failed(ChoiceReplay choice)
    {
        choice.Fail();
        return null;
    }
}
