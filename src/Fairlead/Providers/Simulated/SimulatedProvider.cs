using System.Text;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Providers.Http;
using Fairlead.Streaming;
using Fairlead.TokenCounting;

namespace Fairlead.Providers.Simulated;

/// <summary>
/// Responds without any model: deterministic from seed and request, with true o200k counts, with the timing and the errors that the
/// configuration or the call requests. Behaves towards the pipeline like an adapter to a real service. Thread-safe.
/// </summary>
internal sealed class SimulatedProvider : Provider
{
    private const int MaxDimensions = 4096;
    private const int DefaultMaxTokens = 32_768;

    private readonly SimulationConfig _config;
    private readonly SimulationDirectives _faults;
    private readonly TokenCounter _counter;
    private int _activeStreams;
    private int _aborted;

    public SimulatedProvider(string name, ProviderConfig config, TokenCounter counter)
        : base(name, SimulatedProviderKind.KindName)
    {
        _config = config.Simulation;
        _counter = counter;
        ContinuesAssistantTurn = config.ContinuesTurn ?? false;
        if (!SimulationDirectives.TryParse(_config.Faults, out var faults, out var error))
        {
            throw new ArgumentException(error, nameof(config));
        }
        _faults = faults;
    }

    public override bool ContinuesAssistantTurn { get; }

    /// <summary>Responses in progress, streamed or not.</summary>
    public int ActiveStreams => Volatile.Read(ref _activeStreams);

    /// <summary>Responses that the client aborted, since the start.</summary>
    public int Aborted => Volatile.Read(ref _aborted);

    public override bool Speaks(Dialect dialect) => false;

    public override ValueTask<GatewayReply?> ModerateAsync(
        GatewayCall call, Attempt attempt, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        attempt.Sent = true;
        attempt.UpstreamStatus = 200;
        return new(new GatewayReply.NativeBody(PooledBuffer.Of(SimulatedModeration.Answer(body), call.Memory, neverRefused: true)));
    }

    public override bool IsFaultRequested(GatewayCall call) => !string.IsNullOrEmpty(call.Simulate);

    public override async ValueTask<GatewayReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken)
    {
        var startedAt = call.Time.GetTimestamp();
        // Validation has rejected a header that cannot be read; other callers send none.
        var asked = SimulationDirectives.TryParse(call.Simulate, out var header, out _) ? header : SimulationDirectives.None;
        var directives = asked.Over(_faults).ForAttempt(attempt.Number);
        attempt.Meter.UpstreamModel = attempt.Deployment.UpstreamModel;

        if (call.Operation == Operation.CountTokens) return new GatewayReply.Counted(_counter.CountInput(call).Tokens);
        attempt.Sent = true;
        if (directives.Hang || directives.Reset || directives.Status is not null)
        {
            return await FailAsync(call, attempt, directives, startedAt, cancellationToken);
        }
        if (call.Operation == Operation.Embeddings) return await EmbedAsync(call, attempt, directives, startedAt, cancellationToken);
        return await AnswerAsync(call, attempt, directives, startedAt, cancellationToken);
    }

    internal void StreamOpened() => Interlocked.Increment(ref _activeStreams);

    internal void StreamClosed(bool aborted)
    {
        Interlocked.Decrement(ref _activeStreams);
        if (aborted) Interlocked.Increment(ref _aborted);
    }

    private async ValueTask<GatewayReply> AnswerAsync(GatewayCall call, Attempt attempt, SimulationDirectives directives, long startedAt,
        CancellationToken cancellationToken)
    {
        if (SimulatedModel.Find(attempt.Deployment.UpstreamModel) is not { } model) return NoSuchModel();
        var conversation = call.Conversation;
        try
        {
            ExtraFields.Omit(conversation, name => call.Warn("parameter_ignored",
                $"'{name}' was left out: simulated models do not support it."));
        }
        catch (GatewayErrorException refused)
        {
            return new GatewayReply.AttemptFailed(refused.Error, FailureClass.GiveBack);
        }
        var given = call.Rescue is { IsPrefill: true } ? SimulatedContinuation.TakeText(ref conversation) : null;
        var seed = SimulatedRandom.SeedOf(conversation, model.Name, _config.Seed);
        var max = Math.Max(0, conversation.MaxOutputTokens ?? BuiltInModels.Find(model.Name)?.MaxOutputTokens ?? DefaultMaxTokens);
        var plan = SimulatedResponsePlanner.Plan(conversation, model, seed, max, isInvalid: attempt.Number <= directives.InvalidOutput);
        if (given is not null) plan = SimulatedContinuation.After(plan, given);
        var facts = BuiltInModels.Find(model.Name) ?? call.Model;
        var input = _counter.CountConversation(conversation, facts, framed: call.Dialect.HasMessages, call.Facts.InputTokenIds).Tokens;
        var usage = new Usage(input, plan.OutputTokens) { ReasoningTokens = plan.ReasoningTokens };
        // Latency has its own random stream, so that another speed never changes a response.
        var pace = new Pace(model, _config, directives, new SimulatedRandom(seed).Fork(1));
        if (call.Streams)
        {
            return new GatewayReply.Streaming(new SimulatedEventSource(this, call, attempt, plan, pace, directives, usage, startedAt,
                cancellationToken));
        }
        return await WholeAsync(call, attempt, plan, pace, directives, usage, startedAt, cancellationToken);
    }

    private async ValueTask<GatewayReply> WholeAsync(
        GatewayCall call, Attempt attempt, SimulatedResponse plan, Pace pace, SimulationDirectives directives, Usage usage, long startedAt,
        CancellationToken cancellationToken)
    {
        var (patience, phase) = PatienceOf(call, attempt);
        var cutAt = directives.CutAfter is { } cut && cut < usage.OutputTokens ? cut : (int?)null;
        var stalls = directives.StallAfter is { } stall && stall < usage.OutputTokens && !(cutAt <= stall);
        for (var i = 1; i < (cutAt ?? (int)usage.OutputTokens); i++) pace.Advance();
        var due = stalls || pace.Next > patience ? patience : pace.Next;
        await WaitAsync(call, startedAt, due, cancellationToken);
        if (due == patience) return new GatewayReply.AttemptFailed(UpstreamClient.TimeoutError(phase), FailureClass.Failover);
        if (cutAt is not null) return new GatewayReply.AttemptFailed(UpstreamClient.BrokenError, FailureClass.Retry);

        var answer = ToAnswer(plan);
        foreach (var choice in answer.Choices)
        {
            foreach (var part in choice.Parts) attempt.Meter.AddOutput(BytesOf(part));
            foreach (var logprob in choice.Logprobs ?? []) attempt.Meter.AddLogprob(logprob.Logprob);
            attempt.Meter.Finish(choice.FinishReason!.Value, attempt.Meter.FinishedChoices);
        }
        attempt.Meter.ReportUsage(usage);
        return new GatewayReply.Complete(answer);
    }

    private async ValueTask<GatewayReply> EmbedAsync(GatewayCall call, Attempt attempt, SimulationDirectives directives, long startedAt,
        CancellationToken cancellationToken)
    {
        if (attempt.Deployment.UpstreamModel != "sim-embed") return NoSuchModel();
        var request = call.Embeddings;
        var facts = BuiltInModels.Find("sim-embed")!;
        var dimensions = request.Dimensions ?? facts.EmbeddingDimensions!.Value;
        if (dimensions is < 1 or > MaxDimensions)
        {
            var error = GatewayError.Invalid("dimensions", $"The model returns vectors of 1 to {MaxDimensions} dimensions.");
            return new GatewayReply.AttemptFailed(error, FailureClass.GiveBack, 400);
        }
        if (directives.FirstToken is { } wait) await WaitAsync(call, startedAt, wait, cancellationToken);
        var vectors = new ReadOnlyMemory<float>[request.Inputs.Count];
        for (var i = 0; i < vectors.Length; i++)
        {
            vectors[i] = SimulatedEmbeddings.Make(request.Inputs[i], dimensions, SimulatedRandom.Mix((ulong)_config.Seed));
        }
        attempt.Meter.ReportUsage(new Usage(_counter.CountEmbeddings(request, facts).Tokens, 0));
        return new GatewayReply.Embedded(new EmbeddingsResponse(vectors));
    }

    private async ValueTask<GatewayReply> FailAsync(GatewayCall call, Attempt attempt, SimulationDirectives directives, long startedAt,
        CancellationToken cancellationToken)
    {
        if (directives.Hang)
        {
            var (patience, phase) = PatienceOf(call, attempt);
            await WaitAsync(call, startedAt, patience, cancellationToken);
            return new GatewayReply.AttemptFailed(UpstreamClient.TimeoutError(phase), FailureClass.Failover);
        }
        if (directives.FirstToken is { } wait) await WaitAsync(call, startedAt, wait, cancellationToken);
        if (directives.Status is not { } status) return new GatewayReply.AttemptFailed(UpstreamClient.BrokenError, FailureClass.Retry);

        // The same classification as for a real provider's response with this status.
        var kind = UpstreamErrors.Classify(status, UpstreamErrorBody.Empty);
        var error = UpstreamErrors.ToError(kind, null, null);
        if (UpstreamErrors.MaySayWhen(kind)) error = error with { RetryAfter = directives.RetryAfter };
        return new GatewayReply.AttemptFailed(error, UpstreamErrors.ClassOf(kind), status);
    }

    /// <summary>How long the gateway waits for the first content of a stream or for a whole response.</summary>
    private static (TimeSpan Patience, WaitingFor Phase) PatienceOf(GatewayCall call, Attempt attempt)
    {
        var timeouts = attempt.Deployment.Timeouts;
        var (patience, phase) = call.Streams ? (timeouts.FirstToken, WaitingFor.FirstToken) : (timeouts.Response, WaitingFor.Response);
        return patience >= timeouts.Total ? (timeouts.Total, WaitingFor.Total) : (patience, phase);
    }

    private async ValueTask WaitAsync(GatewayCall call, long startedAt, TimeSpan due, CancellationToken cancellationToken)
    {
        StreamOpened();
        var aborted = true;
        try
        {
            await SimulatedWait.UntilAsync(call.Time, startedAt, due, cancellationToken);
            aborted = false;
        }
        finally
        {
            StreamClosed(aborted);
        }
    }

    private static GatewayReply.AttemptFailed NoSuchModel() =>
        new(UpstreamErrors.ToError(UpstreamErrorKind.Operator, null, null), UpstreamErrors.ClassOf(UpstreamErrorKind.Operator), 404);

    private static ModelResponse ToAnswer(SimulatedResponse plan) =>
        new([.. plan.Choices.Select(ToChoice)]) { SystemFingerprint = "fp_simulated" };

    private static OutputChoice ToChoice(ChoicePlan plan, int index)
    {
        var parts = new List<Part>();
        var thinking = Join(plan, StepKind.Reasoning, 0);
        if (thinking.Length > 0) parts.Add(new ReasoningPart(thinking, plan.Signature));
        var text = Join(plan, StepKind.Text, 0);
        if (text.Length > 0) parts.Add(new TextPart(text));
        for (var i = 0; i < plan.Calls.Count; i++)
        {
            parts.Add(new ToolCallPart(plan.Calls[i].Id, plan.Calls[i].Name,
                Join(plan, StepKind.Arguments, i)) { Kind = plan.Calls[i].Kind });
        }
        var logprobs = plan.Steps.Where(s => s.Logprob is not null).Select(s => s.Logprob!).ToArray();
        return new OutputChoice(index, parts, plan.Finish) { StopSequence = plan.StopSequence, Logprobs = logprobs.Length > 0
            ? logprobs
            : null };
    }

    private static string Join(ChoicePlan plan, StepKind kind, int call)
    {
        var text = new StringBuilder();
        foreach (var step in plan.Steps)
        {
            if (step.Kind == kind && step.Call == call) text.Append(step.Text);
        }
        return text.ToString();
    }

    private static int BytesOf(Part part) => part switch
    {
        TextPart text => Encoding.UTF8.GetByteCount(text.Text),
        ReasoningPart reasoning => Encoding.UTF8.GetByteCount(reasoning.Text),
        ToolCallPart call => call.Name.Length + Encoding.UTF8.GetByteCount(call.Arguments),
        _ => 0,
    };
}
