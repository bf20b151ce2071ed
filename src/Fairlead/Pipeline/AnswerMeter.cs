using Fairlead.Conversation;
using Fairlead.Generations;
using Fairlead.Ledger;

namespace Fairlead.Pipeline;

/// <summary>
/// What is known of an answer under way: usage as reported, or the size from which it is estimated, and why it ended.
/// One per attempt. Written by one reader at a time; numbers may be read from other threads for checkpoints.
/// </summary>
internal sealed class AnswerMeter
{
    private long _outputBytes;
    private object? _reported;
    private double _logprobSum;
    private long _logprobCount;
    private bool _firstFinished;
    private HashSet<int>? _finished;

    /// <summary>The provider's last word on usage.</summary>
    /// <remarks>Kept boxed, so that a checkpoint on another thread never reads half of one report and half of the next.</remarks>
    public Usage? Reported => Volatile.Read(ref _reported) as Usage?;

    /// <summary>UTF-8 bytes of text, reasoning and tool arguments so far.</summary>
    public long OutputBytes => Volatile.Read(ref _outputBytes);

    /// <summary>The most telling reason so far: with several choices, one that was cut or filtered wins over a plain stop.</summary>
    public FinishReason? FinishReason { get; private set; }

    /// <summary>Choices that have ended.</summary>
    public int FinishedChoices => (_firstFinished ? 1 : 0) + (_finished?.Count ?? 0);

    public bool HasContent { get; private set; }

    /// <summary>The model's name as the provider reports it.</summary>
    public string? UpstreamModel { get; set; }

    /// <summary>Malformed events that were left out.</summary>
    public int SkippedEvents { get; set; }

    public double? MeanLogprob => _logprobCount == 0 ? null : _logprobSum / _logprobCount;

    public void ReportUsage(in Usage usage) => Volatile.Write(ref _reported, usage.Bounded());

    public void AddOutput(int utf8Bytes)
    {
        HasContent = true;
        Volatile.Write(ref _outputBytes, _outputBytes + utf8Bytes);
    }

    public void AddLogprob(double logprob)
    {
        _logprobSum += logprob;
        _logprobCount++;
    }

    /// <summary>Notes that a choice has ended; some providers say it more than once.</summary>
    public void Finish(FinishReason reason, int choice)
    {
        if (choice == 0) _firstFinished = true;
        else (_finished ??= []).Add(choice);
        if (FinishReason is null || Rank(reason) > Rank(FinishReason.Value)) FinishReason = reason;
    }

    /// <summary>Takes in an event of the inner language.</summary>
    public void Observe(GenerationEvent generationEvent)
    {
        switch (generationEvent)
        {
            case TextDelta text:
                AddOutput(System.Text.Encoding.UTF8.GetByteCount(text.Text));
                foreach (var logprob in text.Logprobs ?? []) AddLogprob(logprob.Logprob);
                break;
            case ReasoningDelta reasoning: AddOutput(System.Text.Encoding.UTF8.GetByteCount(reasoning.Text)); break;
            case RefusalDelta refusal: AddOutput(System.Text.Encoding.UTF8.GetByteCount(refusal.Text)); break;
            case ToolCallStarted started: AddOutput(started.Name.Length); break;
            case ToolCallDelta delta: AddOutput(System.Text.Encoding.UTF8.GetByteCount(delta.Arguments)); break;
            case AudioDelta: AddOutput(0); break;
            case ChoiceFinished finished: Finish(finished.Reason, finished.Choice); break;
            case UsageReported usage: ReportUsage(usage.Usage); break;
        }
    }

    private static int Rank(FinishReason reason) => reason switch
    {
        Conversation.FinishReason.ContentFilter => 4,
        Conversation.FinishReason.Length => 3,
        Conversation.FinishReason.ToolCalls => 2,
        _ => 1,
    };
}
