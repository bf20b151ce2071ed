using System.Net;
using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Idempotency;
using Fairlead.Limits;
using Fairlead.Memory;
using Fairlead.Responses;
using Fairlead.Streaming;
using Fairlead.Telemetry;

namespace Fairlead.Pipeline;

/// <summary>
/// One call on its way through the gateway. Stages see this and never HTTP, so that a call without a waiting client walks the
/// same path. Builders' models reach theirs through <see cref="GatewayCallExtensions"/>.
/// </summary>
/// <remarks>Belongs to one logical flow; only the members that say so are thread-safe.</remarks>
public sealed class GatewayCall
{
    private TaskCompletionSource? _accepted;
    private CallWarnings? _warnings;
    private ConversationRequest? _conversation;
    private EmbeddingsRequest? _embeddings;
    private int _outputCap;
    private bool? _streams;

    internal GatewayCall(string requestId, string generationId, Dialect dialect, Caller caller, TimeProvider time)
    {
        RequestId = requestId;
        GenerationId = generationId;
        Dialect = dialect;
        Caller = caller;
        Time = time;
        Timings = new CallTimings(time);
        StartedAt = time.GetUtcNow();
    }

    /// <summary><c>req_</c> + ULID, in every answer's <c>x-request-id</c>.</summary>
    public string RequestId { get; }

    /// <summary><c>gen_</c> + ULID.</summary>
    public string GenerationId { get; }

    /// <summary>Who asks.</summary>
    public Caller Caller { get; }

    /// <summary>How long each phase took; a builder's pipeline may record its own. Thread-safe.</summary>
    public CallTimings Timings { get; }

    /// <summary>Signals of quality; a builder's pipeline may set its own. Thread-safe.</summary>
    public CallQuality Quality { get; } = new();

    /// <summary>The name the client asked for.</summary>
    public string ModelRequested => Facts.Model;

    internal TimeProvider Time { get; }

    internal DateTimeOffset StartedAt { get; init; }

    internal Dialect Dialect { get; }

    internal Operation Operation => Dialect.Operation;

    /// <summary>The request's bytes; owned and returned to the pool by the edge when the call has ended.</summary>
    internal PooledBuffer Body { get; set; } = null!;

    /// <summary>Counts what is held in memory for the call; null where nothing is counted.</summary>
    internal MemoryBudget? Memory { get; init; }

    internal RequestFacts Facts { get; set; } = new();

    /// <summary>Whether the provider is asked for a stream: as the request says, unless a delivery decided otherwise.</summary>
    internal bool Streams
    {
        get => _streams ?? Facts.Stream;
        set => _streams = value;
    }

    /// <summary>Maximum output tokens: as the request says, unless the gateway set a cap. Null for no maximum.</summary>
    internal int? MaxOutputTokens => _outputCap > 0 ? _outputCap : Facts.MaxOutputTokens;

    /// <summary>Caps the output of a call whose request has no maximum.</summary>
    /// <param name="tokens">1 or more.</param>
    internal void CapOutput(int tokens)
    {
        _outputCap = tokens;
        Conversation = Conversation with { MaxOutputTokens = tokens };
    }

    /// <summary>Address of the client, for the audit record.</summary>
    internal IPAddress? Address { get; set; }

    /// <summary>Path of the endpoint, such as <c>/v1/chat/completions</c>.</summary>
    internal string Endpoint { get; set; } = "";

    /// <summary>Where links in the answer lead.</summary>
    internal PublicAddress Site { get; set; }

    /// <summary>Standard headers of the call that a provider may be sent (anthropic-version, anthropic-beta).</summary>
    internal string? AnthropicVersion { get; set; }

    internal string? AnthropicBeta { get; set; }

    /// <summary>The Idempotency-Key header, or null.</summary>
    internal string? IdempotencyKey { get; set; }

    /// <summary>Set by the stage when the key is bound to this call.</summary>
    internal IdempotentRun? Idempotency { get; set; }

    /// <summary>How long it waits for the outcome of the request that it repeats, where that cannot be joined.</summary>
    internal TimeSpan RepeatWait { get; set; }

    /// <summary>Whether it goes on to its end when its client leaves: asked for, or to be had by repeating the request.</summary>
    internal bool GoesOn => Facts.Extension.OnDisconnect == OnDisconnect.Continue || IdempotencyKey is not null;

    /// <summary>Whether nobody waits for the answer on a connection, so that there is time to wait for a place at a provider.</summary>
    internal bool CanWaitForSlot { get; set; }

    /// <summary>What the connection of the call knows of earlier responses; null unless it is one that keeps them.</summary>
    internal ResponseSession? Session { get; set; }

    /// <summary>The Fairlead-Simulate header; honoured by simulated deployments only.</summary>
    internal string? Simulate { get; set; }

    /// <summary>One of <see cref="CallClasses"/>, as decided from the request and the key.</summary>
    internal string Class { get; set; } = CallClasses.Default;

    /// <summary>When the caller no longer wants the answer, or null.</summary>
    internal DateTimeOffset? Deadline { get; set; }

    /// <summary>
    /// The request goes to every provider through the inner language, also to one that speaks its dialect: its answer is read by others
    /// than the client.
    /// </summary>
    internal bool InInnerLanguage { get; set; }

    /// <summary>
    /// Number of the run of a generation that is begun anew after a failure or a crash, from 1; each has an audit record of its own.
    /// </summary>
    internal int Run { get; init; } = 1;

    /// <summary>How its answer reaches the caller, when it was decided before; null where the request alone says it.</summary>
    internal GenerationDelivery? Delivery { get; init; }

    /// <summary>
    /// The run of a kept generation that this call is; null for all others. What it keeps outside of the generation is fenced by it.
    /// </summary>
    internal RunLease? RunLease { get; set; }

    /// <summary>Set when another call goes on with the generation, and ends it.</summary>
    internal bool HandedOver { get; set; }

    /// <summary>Set by the catalogue stage.</summary>
    internal CatalogueModel Model { get; set; } = null!;

    /// <summary>More input tokens than this the request cannot have; cheap, from its bytes. What is held before the call.</summary>
    internal long InputBound { get; set; }

    /// <summary>Best guess of the input's tokens so far, or their count; what usage falls back to.</summary>
    internal TokenEstimate InputEstimate { get; set; }

    /// <summary>Held before the first attempt; settled when the call ends.</summary>
    internal TokenReservation? Reservation { get; set; }

    /// <summary>Bytes of the spool that are reserved for its record. The spool's own.</summary>
    internal int RecordRoom { get; set; }

    internal List<Attempt> Attempts { get; } = new(1);

    /// <summary>The attempt whose answer the client sees; null until one answers.</summary>
    internal Attempt? Answering { get; set; }

    /// <summary>The token of the call and why it fired.</summary>
    internal CallCancellation Cancellation { get; set; } = null!;

    internal CallEnding? Ending { get; set; }

    /// <summary>Completes when the first attempt is on its way: from then on only a provider can fail the call.</summary>
    internal Task Accepted => Acceptance.Task;

    internal void Accept() => Acceptance.TrySetResult();

    // Made on first use: most calls are asked by nobody.
    private TaskCompletionSource Acceptance
    {
        get
        {
            if (Volatile.Read(ref _accepted) is { } known) return known;
            var made = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return Interlocked.CompareExchange(ref _accepted, made, null) ?? made;
        }
    }

    /// <summary>Refusals of the same key for the same reason that left no record of their own since the last one.</summary>
    internal long SuppressedRefusals { get; set; }

    /// <summary>Telemetry's own: how the call is counted, and the span it arrived in, when somebody listens.</summary>
    internal Telemetry.CallTrace Trace { get; set; }

    internal System.Diagnostics.Activity? ServerSpan { get; set; }

    /// <summary>The client's trace, handed on as it is when this process makes no spans of its own.</summary>
    internal Telemetry.IncomingTrace? IncomingTrace { get; set; }

    /// <summary>A list that no longer changes: headers that are committed late are written while an attempt may still warn.</summary>
    internal IReadOnlyList<CallWarning> Warnings => Volatile.Read(ref _warnings)?.Snapshot ?? [];

    /// <summary>The request in the inner language; made on first use.</summary>
    /// <exception cref="GatewayErrorException">The request cannot be expressed in it.</exception>
    /// <exception cref="InvalidOperationException">The dialect has no conversations.</exception>
    internal ConversationRequest Conversation
    {
        get => _conversation ??= ReadConversation();
        set => _conversation = value;
    }

    /// <summary>What is wrong with a structured output that was checked; empty when nothing is, null when none was.</summary>
    internal IReadOnlyList<SchemaViolation>? Violations { get; set; }

    /// <summary>The embeddings request in the inner language; made on first use.</summary>
    /// <exception cref="InvalidOperationException">The dialect has no embeddings.</exception>
    internal EmbeddingsRequest Embeddings => _embeddings ??=
        (Dialect.Embeddings ?? throw Untranslatable("embeddings request")).ToEmbeddings(this);

    /// <summary>Bytes that the conversation takes in memory beside the body: its texts as UTF-16. Media stay where they are.</summary>
    internal long ConversationBytes => 2 * Math.Max(0, Body.Length - Facts.InlineBytes);

    private ConversationRequest ReadConversation()
    {
        var translation = Dialect.Conversations ?? throw Untranslatable("conversation");
        // Held as long as the body.
        Body?.Count(ConversationBytes);
        try
        {
            return translation.ToConversation(this);
        }
        catch
        {
            Body?.Uncount(ConversationBytes);
            throw;
        }
    }

    private InvalidOperationException Untranslatable(string form) =>
        new($"A request of the dialect {Dialect.Name} has no form as a {form}.");

    /// <summary>
    /// Adds a warning, once, in the order of the codes. At most <see cref="CallWarnings.Max"/> are listed; one more counts the rest.
    /// Thread-safe.
    /// </summary>
    internal void Warn(string code, string message)
    {
        if (Volatile.Read(ref _warnings) is not { } warnings)
        {
            // Made on first use: most calls have no warning.
            var made = new CallWarnings();
            warnings = Interlocked.CompareExchange(ref _warnings, made, null) ?? made;
        }
        warnings.Add(code, message);
    }
}

/// <summary>Tokens of the input, known or bounded before the provider counts.</summary>
/// <param name="Tokens">Count or estimate.</param>
/// <param name="Basis">Measured only when counted with the model's own vocabulary.</param>
internal readonly record struct TokenEstimate(long Tokens, Basis Basis);

/// <summary>How a call ended; fixed once, before the last byte leaves.</summary>
/// <param name="Outcome">How.</param>
/// <param name="Usage">What the response used, as its client is told.</param>
/// <param name="Cost">What all attempts cost.</param>
internal sealed record CallEnding(Outcome Outcome, Usage Usage, Cost Cost)
{
    /// <summary>What all attempts used, also those that failed: it is charged, so it counts for limits.</summary>
    public Usage Used { get; init; } = Usage;

    public GatewayError? Error { get; init; }
}
