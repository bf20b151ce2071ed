using System.Diagnostics;
using System.Diagnostics.Metrics;
using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Telemetry;

/// <summary>
/// Traces and metrics of calls by OpenTelemetry's GenAI conventions, through the runtime's own ActivitySource and Meter. Listeners decide
/// where they go, and nothing is computed without a listener. No content, no keys, no free text of clients. Thread-safe.
/// </summary>
/// <remarks>
/// A call: <see cref="CallStarted"/> once its request was read, then <see cref="AttemptStarted"/> and <see cref="AttemptEnded"/> for each
/// attempt, <see cref="CallEnded"/> once. The last two may be called again and then do nothing.
/// </remarks>
internal sealed class GatewayTelemetry : IDisposable
{
    /// <summary>Name of the source and of the meter.</summary>
    public const string Name = "Fairlead";

    // Buckets as the conventions recommend.
    private static readonly InstrumentAdvice<long> TokenBuckets = new() { HistogramBucketBoundaries = [1, 4, 16, 64, 256, 1024, 4096,
        16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864] };
    private static readonly InstrumentAdvice<double> DurationBuckets = new() { HistogramBucketBoundaries = [0.01, 0.02, 0.04, 0.08, 0.16,
        0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92] };
    private static readonly InstrumentAdvice<double> FirstTokenBuckets = new() { HistogramBucketBoundaries = [0.001, 0.005, 0.01, 0.02,
        0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10] };
    private static readonly InstrumentAdvice<double> PaceBuckets = new() { HistogramBucketBoundaries = [0.001, 0.0025, 0.005, 0.01, 0.025,
        0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5] };

    private readonly ActivitySource _source = new(Name);
    private readonly Meter _meter;
    private readonly Histogram<long> _tokens;
    private readonly Histogram<double> _attemptDuration;
    private readonly Histogram<double> _firstChunk;
    private readonly Histogram<double> _perChunk;
    private readonly Histogram<double> _callDuration;
    private readonly Histogram<double> _firstToken;
    private readonly Histogram<double> _perToken;
    private readonly Counter<double> _cost;
    private int _activeCalls;
    private int _openStreams;

    public GatewayTelemetry(IMeterFactory meters)
    {
        _meter = meters.Create(Name);
        _tokens = _meter.CreateHistogram("gen_ai.client.token.usage", "{token}", "Tokens used by attempts.", tags: null, TokenBuckets);
        _attemptDuration = _meter.CreateHistogram("gen_ai.client.operation.duration", "s", "Duration of attempts at providers.",
            tags: null, DurationBuckets);
        _firstChunk = _meter.CreateHistogram("gen_ai.client.operation.time_to_first_chunk", "s",
            "Time until the first content of a provider's stream.", tags: null, DurationBuckets);
        _perChunk = _meter.CreateHistogram("gen_ai.client.operation.time_per_output_chunk", "s",
            "Time from one chunk of a provider's stream to the next.", tags: null, DurationBuckets);
        _callDuration = _meter.CreateHistogram("gen_ai.server.request.duration", "s", "Duration of calls, including refused ones.",
            tags: null, DurationBuckets);
        _firstToken = _meter.CreateHistogram("gen_ai.server.time_to_first_token", "s", "Time from a call's arrival to its first content.",
            tags: null, FirstTokenBuckets);
        _perToken = _meter.CreateHistogram("gen_ai.server.time_per_output_token", "s", "Time per output token after the first.",
            tags: null, PaceBuckets);
        _cost = _meter.CreateCounter<double>("fairlead.cost.usd", "{USD}", "Cost of attempts in US dollars, by the configured prices.");
        _meter.CreateObservableGauge("fairlead.calls.active", () => Volatile.Read(ref _activeCalls), "{call}", "Calls in progress.");
        _meter.CreateObservableGauge("fairlead.streams.open", () => Volatile.Read(ref _openStreams), "{stream}",
            "Streaming calls in progress.");
    }

    /// <summary>Calls in progress.</summary>
    public int ActiveCalls => Volatile.Read(ref _activeCalls);

    /// <summary>The call's request was read; its dialect, model and delivery are known.</summary>
    public void CallStarted(GatewayCall call)
    {
        call.Trace = call.Streams ? CallTrace.Stream : CallTrace.Call;
        Interlocked.Increment(ref _activeCalls);
        if (call.Trace == CallTrace.Stream) Interlocked.Increment(ref _openStreams);

        // The server span is ASP.NET Core's own; it exists only with a listener.
        if (Activity.Current is not { IsAllDataRequested: true } span) return;
        call.ServerSpan = span;
        span.SetTag("gen_ai.operation.name", OperationOf(call));
        span.SetTag("fairlead.request.id", call.RequestId);
        span.SetTag("fairlead.generation.id", call.GenerationId);
        span.SetTag("fairlead.organization.id", call.Caller.OrganizationId);
        span.SetTag("fairlead.project.id", call.Caller.ProjectId);
        span.SetTag("fairlead.key.id", call.Caller.KeyId);
        SetRequest(span, call, call.ModelRequested);
    }

    /// <summary>An attempt is about to be sent. Makes its client span current, so that the HTTP request's span becomes its child.</summary>
    public void AttemptStarted(GatewayCall call, Attempt attempt)
    {
        if (!_source.HasListeners()) return;
        var operation = OperationOf(call);
        var model = attempt.Deployment.UpstreamModel;
        if (_source.StartActivity($"{operation} {model}", ActivityKind.Client) is not { } span) return;
        attempt.Span = span;
        if (!span.IsAllDataRequested) return;
        span.SetTag("gen_ai.operation.name", operation);
        span.SetTag("gen_ai.provider.name", attempt.Deployment.Provider.TelemetryName);
        span.SetTag("fairlead.provider", attempt.Deployment.ProviderName);
        span.SetTag("fairlead.deployment", attempt.Deployment.Name);
        span.SetTag("fairlead.attempt.number", attempt.Number);
        span.SetTag("fairlead.attempt.reason", attempt.Reason);
        if (attempt.Deployment.Provider.Endpoint is { } endpoint)
        {
            span.SetTag("server.address", endpoint.Host);
            span.SetTag("server.port", endpoint.Port);
        }
        if (attempt.Deployment.Provider.OpenAiTypeOf(call) is { } type) span.SetTag("openai.api.type", type);
        SetRequest(span, call, model);
    }

    /// <summary>Measures the pace of an attempt's stream; null without a listener.</summary>
    public ChunkClock? ClockOf(GatewayCall call, Attempt attempt) => _perChunk.Enabled ? new ChunkClock(_perChunk, call, attempt) : null;

    /// <summary>An attempt has ended and its usage is final.</summary>
    public void AttemptEnded(GatewayCall call, Attempt attempt)
    {
        if (attempt.Measured) return;
        attempt.Measured = true;
        if (attempt.Span is { } span) EndSpan(span, call, attempt);
        if (!_attemptDuration.Enabled && !_tokens.Enabled && !_firstChunk.Enabled && !_cost.Enabled) return;

        var tags = AttemptTags.Of(attempt.Deployment, OperationOf(call), attempt.Meter.UpstreamModel);
        if (attempt.Usage.InputTokens > 0) _tokens.Record(attempt.Usage.InputTokens, tags.Input);
        if (attempt.Usage.OutputTokens > 0) _tokens.Record(attempt.Usage.OutputTokens, tags.Output);
        if (attempt.Cost.Usd > 0) _cost.Add((double)attempt.Cost.Usd, tags.Plain);
        if (call.Streams && ReferenceEquals(call.Answering, attempt) && call.Timings.Milliseconds(Phase.FirstToken) is > 0 and var first)
            _firstChunk.Record(first / 1000, tags.Plain);
        _attemptDuration.Record(attempt.Duration.TotalSeconds, attempt.Error is { } error ? tags.WithError(error.Definition.Name)
            : tags.Plain);
    }

    /// <summary>The call did not run and has no ending: it is not measured, because another one continues with it.</summary>
    public void CallPostponed(GatewayCall call)
    {
        if (call.Trace == CallTrace.None) return;
        Interlocked.Decrement(ref _activeCalls);
        if (call.Trace == CallTrace.Stream) Interlocked.Decrement(ref _openStreams);
        call.Trace = CallTrace.None;
    }

    /// <summary>The call has its ending, and the client its status.</summary>
    public void CallEnded(GatewayCall call, int status)
    {
        if (call.Trace == CallTrace.None) return;
        Interlocked.Decrement(ref _activeCalls);
        if (call.Trace == CallTrace.Stream) Interlocked.Decrement(ref _openStreams);
        call.Trace = CallTrace.None;
        foreach (var attempt in call.Attempts) AttemptEnded(call, attempt);

        var ending = call.Ending;
        if (call.ServerSpan is { } span)
        {
            if (ending is not null)
            {
                span.SetTag("fairlead.outcome", Conversation.OutcomeExtensions.ToWire(ending.Outcome));
                SetUsage(span, ending.Usage);
            }
            if (ending?.Error is { } failure)
            {
                span.SetTag("error.type", failure.Definition.Name);
                if (status >= 500) span.SetStatus(ActivityStatusCode.Error);
            }
            if (call.Answering is { } answering)
            {
                span.SetTag("gen_ai.provider.name", answering.Deployment.Provider.TelemetryName);
                span.SetTag("fairlead.provider", answering.Deployment.ProviderName);
                span.SetTag("fairlead.deployment", answering.Deployment.Name);
                span.SetTag("gen_ai.response.id", call.GenerationId);
                span.SetTag("gen_ai.response.model", call.Model.Id);
            }
        }
        if (!_callDuration.Enabled && !_firstToken.Enabled && !_perToken.Enabled) return;

        // The model name that a client sent is not a tag, because any client could create new series. The catalogue's name is.
        var tags = new TagList { { "gen_ai.operation.name", OperationOf(call) } };
        if (call.Model is { } model) tags.Add("gen_ai.request.model", model.Id);
        if (call.Answering is { } answer)
        {
            tags.Add("gen_ai.provider.name", answer.Deployment.Provider.TelemetryName);
            tags.Add("fairlead.provider", answer.Deployment.ProviderName);
            tags.Add("fairlead.deployment", answer.Deployment.Name);
            tags.Add("gen_ai.response.model", call.Model!.Id);
        }
        var generate = call.Timings.Milliseconds(Phase.Generate);
        var firstToken = call.Timings.Milliseconds(Phase.FirstToken);
        if (call.Answering is { } streamed && call.Streams && firstToken > 0 && !call.IsCached)
        {
            // From arrival: the time before the attempt counts for the waiting client.
            var before = (streamed.StartedAt - call.Timings.StartedAt) * 1000.0 / call.Time.TimestampFrequency;
            _firstToken.Record((Math.Max(0, before) + firstToken) / 1000, tags);
            if (ending is { Usage.OutputTokens: > 1 } && generate > firstToken)
                _perToken.Record((generate - firstToken) / 1000 / (ending.Usage.OutputTokens - 1), tags);
        }
        if (ending is not null) tags.Add("fairlead.outcome", Conversation.OutcomeExtensions.ToWire(ending.Outcome));
        if (ending?.Error is { } error) tags.Add("error.type", error.Definition.Name);
        _callDuration.Record(call.Timings.Elapsed.TotalSeconds, tags);
    }

    public void Dispose()
    {
        _source.Dispose();
        _meter.Dispose();
    }

    private static void EndSpan(Activity span, GatewayCall call, Attempt attempt)
    {
        if (span.IsAllDataRequested)
        {
            SetUsage(span, attempt.Usage);
            span.SetTag("gen_ai.response.model", attempt.Meter.UpstreamModel);
            if (attempt.Meter.FinishReason is { } reason) span.SetTag("gen_ai.response.finish_reasons", new[] { WireOf(reason) });
            if (attempt.UpstreamStatus is { } status) span.SetTag("http.response.status_code", status);
            if (call.Streams && ReferenceEquals(call.Answering, attempt))
                span.SetTag("gen_ai.response.time_to_first_chunk", call.Timings.Milliseconds(Phase.FirstToken) / 1000);
            if (attempt.Error is { } error)
            {
                span.SetTag("error.type", error.Definition.Name);
                span.SetStatus(ActivityStatusCode.Error);
            }
        }
        span.Stop();
    }

    private static void SetRequest(Activity span, GatewayCall call, string model)
    {
        var facts = call.Facts;
        span.SetTag("gen_ai.request.model", model);
        if (call.Streams) span.SetTag("gen_ai.request.stream", true);
        if (call.MaxOutputTokens is { } maximum) span.SetTag("gen_ai.request.max_tokens", maximum);
        if (facts.Temperature is { } temperature) span.SetTag("gen_ai.request.temperature", temperature);
        if (facts.TopP is { } topP) span.SetTag("gen_ai.request.top_p", topP);
        if (facts.Seed is { } seed) span.SetTag("gen_ai.request.seed", seed);
        if (facts.ChoiceCount != 1) span.SetTag("gen_ai.request.choice.count", facts.ChoiceCount);
        if (facts.Has(RequestFeatures.JsonSchema) || facts.Has(RequestFeatures.JsonObject)) span.SetTag("gen_ai.output.type", "json");
        else if (facts.Has(RequestFeatures.AudioOutput)) span.SetTag("gen_ai.output.type", "speech");
        if (call.Body is { } body) RequestSettings.Tag(span, body.WrittenSpan);
    }

    private static void SetUsage(Activity span, in Usage usage)
    {
        span.SetTag("gen_ai.usage.input_tokens", usage.InputTokens);
        span.SetTag("gen_ai.usage.output_tokens", usage.OutputTokens);
        if (usage.CachedInputTokens > 0) span.SetTag("gen_ai.usage.cache_read.input_tokens", usage.CachedInputTokens);
        if (usage.CacheWriteTokens > 0) span.SetTag("gen_ai.usage.cache_creation.input_tokens", usage.CacheWriteTokens);
        if (usage.AudioInputTokens > 0) span.SetTag("gen_ai.usage.audio.input_tokens", usage.AudioInputTokens);
        if (usage.ReasoningTokens > 0) span.SetTag("gen_ai.usage.reasoning.output_tokens", usage.ReasoningTokens);
    }

    /// <summary>Value of <c>gen_ai.operation.name</c>, one string for each.</summary>
    internal static string OperationOf(GatewayCall call) => call.Operation switch
    {
        Operation.Embeddings => "embeddings",
        Operation.CountTokens => "count_tokens",
        Operation.Moderation => "moderation",
        _ => call.Dialect.HasMessages ? "chat" : "text_completion",
    };

    private static string WireOf(Conversation.FinishReason reason) => reason switch
    {
        Conversation.FinishReason.Length => "length",
        Conversation.FinishReason.ToolCalls => "tool_calls",
        Conversation.FinishReason.ContentFilter => "content_filter",
        _ => "stop",
    };
}
