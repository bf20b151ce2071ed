using Fairlead.Conversation;
using Fairlead.Streaming.Verification;

namespace Fairlead.TokenCounting;

/// <summary>
/// What is known of a response in progress: usage as reported, or the size from which it is estimated, and why it ended.
/// One per attempt. Written by one reader at a time; other threads may read the numbers for checkpoints.
/// </summary>
internal sealed class OutputMeter
{
    private OutputTally _output;
    private UsageReport? _report;
    private double _logprobSum;
    private long _logprobCount;
    private bool _firstFinished;
    private HashSet<int>? _finished;

    /// <summary>Everything that the provider has reported about usage, merged; null without a report.</summary>
    /// <remarks>Reports are immutable, so a checkpoint on another thread never reads half of one report and half of the next.</remarks>
    public UsageReport? Report => Volatile.Read(ref _report);

    /// <summary>The raw report, whether plausible or not.</summary>
    public Usage? Reported => Report is { } report ? UsageResolver.Unjudged(report) : null;

    /// <summary>UTF-8 bytes of text, reasoning and tool arguments so far.</summary>
    public long OutputBytes => _output.Bytes;

    /// <summary>The same by kind of text.</summary>
    public OutputTally Output => _output;

    /// <summary>
    /// The output itself where another component keeps it anyway: an <see cref="ModelResponse"/> or a text. Null otherwise.
    /// </summary>
    public object? Kept { get; set; }

    /// <summary>What the stream has sent, for calls whose stream may be continued by another run; null for others.</summary>
    public OutputDigest? Digest { get; set; }

    /// <summary>
    /// The most specific reason so far: with several choices, a truncated or filtered one has precedence over a plain stop.
    /// </summary>
    public FinishReason? FinishReason { get; private set; }

    /// <summary>Choices that have ended.</summary>
    public int FinishedChoices => (_firstFinished ? 1 : 0) + (_finished?.Count ?? 0);

    public bool HasContent { get; private set; }

    /// <summary>The model's name as the provider reports it.</summary>
    public string? UpstreamModel { get; set; }

    /// <summary>The service tier that the provider reported last; null if it reported none.</summary>
    public string? ServiceTier { get; private set; }

    /// <summary>Malformed events that were skipped.</summary>
    public int SkippedEvents { get; set; }

    /// <summary>Unix seconds of the request, for responses that do not state their creation time.</summary>
    public long CreatedAt { get; set; }

    /// <summary>The provider's own code for a failure at the end, not yet fit for clients; null where there was none.</summary>
    public string? FailedReason { get; set; }

    public double? MeanLogprob => _logprobCount == 0 ? null : _logprobSum / _logprobCount;

    /// <summary>Adds a report of the provider.</summary>
    public void ReportUsage(UsageReport report)
    {
        ReportTier(report.ServiceTier);
        Volatile.Write(ref _report, _report is null ? report : _report.Then(report));
    }

    /// <summary>Notes in which service tier the provider works; null changes nothing.</summary>
    /// <param name="tier">From <see cref="ServiceTierName"/>.</param>
    public void ReportTier(string? tier) => ServiceTier = tier ?? ServiceTier;

    /// <summary>Adds what the gateway itself counted.</summary>
    public void ReportUsage(in Usage usage) => Volatile.Write(ref _report, UsageReport.OfOwn(usage));

    public void AddOutput(int utf8Bytes)
    {
        HasContent = true;
        _output.Add(utf8Bytes);
    }

    public void AddOutput(in OutputTally output)
    {
        HasContent = true;
        _output.Add(output);
    }

    private void AddOutput(string text, bool isArguments = false)
    {
        HasContent = true;
        _output.Add(text, isArguments);
    }

    public void AddLogprob(double logprob)
    {
        _logprobSum += logprob;
        _logprobCount++;
    }

    /// <summary>Notes that a choice has ended; some providers report it more than once.</summary>
    public void Finish(FinishReason reason, int choice)
    {
        if (choice == 0) _firstFinished = true;
        else (_finished ??= []).Add(choice);
        if (FinishReason is null || Rank(reason) > Rank(FinishReason.Value)) FinishReason = reason;
    }

    /// <summary>Adds an event of the inner language.</summary>
    public void Observe(GenerationEvent generationEvent)
    {
        Digest?.Observe(generationEvent);
        switch (generationEvent)
        {
            case TextDelta text:
                AddOutput(text.Text);
                foreach (var logprob in text.Logprobs ?? []) AddLogprob(logprob.Logprob);
                break;
            case ReasoningDelta reasoning: AddOutput(reasoning.Text); break;
            case RefusalDelta refusal: AddOutput(refusal.Text); break;
            case ToolCallStarted started: AddOutput(started.Name, isArguments: true); break;
            case ToolCallDelta delta: AddOutput(delta.Arguments, isArguments: true); break;
            case AudioDelta: AddOutput(0); break;
            case ChoiceFinished finished: Finish(finished.Reason, finished.Choice); break;
            case UsageReported { Report: { } report }: ReportUsage(report); break;
            case UsageReported usage: ReportUsage(usage.Usage); break;
        }
    }

    /// <summary>One with the same content, which changes independently.</summary>
    public OutputMeter Copy()
    {
        var copy = (OutputMeter)MemberwiseClone();
        if (_finished is not null) copy._finished = [.. _finished];
        return copy;
    }

    private static int Rank(FinishReason reason) => reason switch
    {
        Conversation.FinishReason.ContentFilter => 4,
        Conversation.FinishReason.Length => 3,
        Conversation.FinishReason.ToolCalls => 2,
        _ => 1,
    };
}
