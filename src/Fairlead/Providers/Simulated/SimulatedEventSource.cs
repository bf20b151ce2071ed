using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Providers.Http;
using Fairlead.Streaming;
using Fairlead.TokenCounting;

namespace Fairlead.Providers.Simulated;

/// <summary>
/// Sends a plan as a stream, with its timing and its simulated errors. Choices advance in parallel, a token each. What is due at the same
/// time comes in one batch, like one network packet. One reader.
/// </summary>
internal sealed class SimulatedEventSource : IEventSource
{
    // A fast server's packets have several tokens each; the first one is sent alone.
    private const int MaxTokensPerBatch = 32;

    private readonly SimulatedProvider _provider;
    private readonly GatewayCall _call;
    private readonly OutputMeter _meter;
    private readonly ProviderTimeouts _timeouts;
    private readonly SimulatedResponse _plan;
    private readonly Pace _pace;
    private readonly SimulationDirectives _directives;
    private readonly Usage _usage;
    private readonly long _startedAt;
    private readonly CancellationToken _attemptToken;
    private readonly int[] _positions;
    private readonly int[] _callsStarted;
    private readonly bool[] _thinking;
    private readonly bool[] _finished;
    private int _choice;
    private int _tokens;
    private bool _started;
    private bool _ended;
    private bool _disposed;

    public SimulatedEventSource(
        SimulatedProvider provider, GatewayCall call, Attempt attempt, SimulatedResponse plan, Pace pace, SimulationDirectives directives,
        in Usage usage, long startedAt, CancellationToken attemptToken)
    {
        _provider = provider;
        _call = call;
        _meter = attempt.Meter;
        _timeouts = attempt.Deployment.Timeouts;
        _plan = plan;
        _pace = pace;
        _directives = directives;
        _usage = usage;
        _startedAt = startedAt;
        _attemptToken = attemptToken;
        _positions = new int[plan.Choices.Count];
        _callsStarted = new int[plan.Choices.Count];
        _thinking = new bool[plan.Choices.Count];
        _finished = new bool[plan.Choices.Count];
        provider.StreamOpened();
    }

    public async ValueTask<bool> ReadAsync(EventBatch batch, CancellationToken cancellationToken)
    {
        batch.Clear();
        if (_ended) return false;
        using var linked = cancellationToken == _attemptToken || !_attemptToken.CanBeCanceled
            ? null
            : CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _attemptToken);
        var token = linked?.Token ?? cancellationToken;
        try
        {
            await FillAsync(batch, token);
            return batch.Items.Count > 0;
        }
        catch (OperationCanceledException) when (linked is not null)
        {
            cancellationToken.ThrowIfCancellationRequested();
            _attemptToken.ThrowIfCancellationRequested();
            throw;
        }
    }

    public ValueTask DisposeAsync()
    {
        if (_disposed) return ValueTask.CompletedTask;
        _disposed = true;
        _provider.StreamClosed(aborted: !_ended);
        return ValueTask.CompletedTask;
    }

    private async ValueTask FillAsync(EventBatch batch, CancellationToken token)
    {
        // The silence of the stream counts from its last token, or from the start.
        var since = _call.Time.GetElapsedTime(_startedAt);
        if (_directives.CutAfter is { } cut && _tokens >= cut)
        {
            await SimulatedWait.UntilAsync(_call.Time, _startedAt, _tokens == 0 ? _pace.Next : since, token);
            Fail(batch, UpstreamClient.BrokenError);
            return;
        }
        var (patience, waiting) = _tokens == 0
            ? (_timeouts.FirstToken, WaitingFor.FirstToken)
            : (since + _timeouts.StreamIdle, WaitingFor.StreamIdle);
        if (_timeouts.Total < patience) (patience, waiting) = (_timeouts.Total, WaitingFor.Total);
        var stalls = _directives.StallAfter is { } stall && _tokens >= stall;
        if (stalls || _pace.Next > patience)
        {
            await SimulatedWait.UntilAsync(_call.Time, _startedAt, patience, token);
            Fail(batch, UpstreamClient.TimeoutError(waiting));
            return;
        }
        await SimulatedWait.UntilAsync(_call.Time, _startedAt, _pace.Next, token);
        if (!_started)
        {
            _started = true;
            batch.Add(new ResponseStarted { SystemFingerprint = "fp_simulated",
                Usage = _usage with { OutputTokens = 0, ReasoningTokens = 0 } });
        }
        var now = _call.Time.GetElapsedTime(_startedAt);
        var max = _tokens == 0 ? 1 : MaxTokensPerBatch;
        for (var made = 0; made < max && !_ended && _pace.Next <= now; made++)
        {
            if (_tokens >= _directives.CutAfter || (_tokens >= _directives.StallAfter && made > 0)) break;
            if (_tokens >= _directives.StallAfter) break;
            Step(batch);
        }
        // Skipped events can leave an empty batch; then the next ones are awaited.
        if (batch.Items.Count == 0 && !_ended) await FillAsync(batch, token);
    }

    // One token of the next choice that has one, or the finish of those that have none.
    private void Step(EventBatch batch)
    {
        for (var tried = 0; tried < _plan.Choices.Count; tried++)
        {
            var index = _choice;
            _choice = (_choice + 1) % _plan.Choices.Count;
            if (_finished[index]) continue;
            var choice = _plan.Choices[index];
            if (_positions[index] < choice.Steps.Count)
            {
                Emit(batch, index, choice, choice.Steps[_positions[index]++]);
                _pace.Advance();
                _tokens++;
                if (_positions[index] == choice.Steps.Count) Finish(batch, index, choice);
                return;
            }
            Finish(batch, index, choice);
        }
        EndIfAllFinished(batch);
    }

    private void Emit(EventBatch batch, int index, ChoicePlan choice, in Step step)
    {
        if (step.Kind != StepKind.Reasoning && _thinking[index])
        {
            _thinking[index] = false;
            batch.Add(new ReasoningDelta("") { Choice = index, Signature = choice.Signature });
        }
        if (_tokens + 1 == _directives.MalformedAt)
        {
            _meter.SkippedEvents++;
            return;
        }
        switch (step.Kind)
        {
            case StepKind.Reasoning:
                _thinking[index] = true;
                batch.Add(new ReasoningDelta(step.Text) { Choice = index });
                break;
            case StepKind.Text:
                // A token that is only the start of a character is sent with the rest of it, unless its probability is requested.
                if (step.Text.Length > 0 || step.Logprob is not null)
                {
                    batch.Add(new TextDelta(step.Text) { Choice = index, Logprobs = step.Logprob is { } logprob ? [logprob] : null });
                }
                break;
            case StepKind.ToolName:
                if (step.Call < _callsStarted[index]) break;
                var call = choice.Calls[step.Call];
                _callsStarted[index]++;
                batch.Add(new ToolCallStarted(step.Call, call.Id, call.Name) { Choice = index, Kind = call.Kind });
                break;
            default:
                if (step.Text.Length > 0) batch.Add(new ToolCallDelta(step.Call, step.Text) { Choice = index });
                break;
        }
    }

    private void Finish(EventBatch batch, int index, ChoicePlan choice)
    {
        if (_thinking[index]) batch.Add(new ReasoningDelta("") { Choice = index, Signature = choice.Signature });
        _finished[index] = true;
        batch.Add(new ChoiceFinished(choice.Finish) { Choice = index, StopSequence = choice.StopSequence });
        EndIfAllFinished(batch);
    }

    private void EndIfAllFinished(EventBatch batch)
    {
        if (_ended || Array.IndexOf(_finished, false) >= 0) return;
        if (!_directives.NoDone) batch.Add(new UsageReported(_usage));
        _ended = true;
    }

    private void Fail(EventBatch batch, GatewayError error)
    {
        batch.Add(new AttemptFailed(error));
        _ended = true;
    }
}
