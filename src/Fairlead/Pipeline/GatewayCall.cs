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
using Fairlead.Policies.Checking;
using Fairlead.Responses;
using Fairlead.Scheduling;
using Fairlead.Scheduling.Quotas;
using Fairlead.Streaming;
using Fairlead.Telemetry;

namespace Fairlead.Pipeline;

/// <summary>
/// One call on its way through the gateway. Stages see this and never HTTP, so that a call without a waiting client takes the same path. An
/// app's own models get theirs through <see cref="GatewayCallExtensions"/>.
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
    private bool? _asksForLongCache;

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

    /// <summary><c>req_</c> + ULID, in the <c>x-request-id</c> of every response.</summary>
    public string RequestId { get; }

    /// <summary><c>gen_</c> + ULID.</summary>
    public string GenerationId { get; }

    /// <summary>The authenticated caller.</summary>
    public Caller Caller { get; }

    /// <summary>How long each phase took; an app's pipeline may record its own. Thread-safe.</summary>
    public CallTimings Timings { get; }

    /// <summary>Signals of quality; an app's pipeline may set its own. Thread-safe.</summary>
    public CallQuality Quality { get; } = new();

    /// <summary>The name of the model as the client sent it.</summary>
    public string ModelRequested => Facts.Model;

    internal TimeProvider Time { get; }

    internal DateTimeOffset StartedAt { get; init; }

    internal Dialect Dialect { get; }

    internal Operation Operation => Dialect.Operation;

    /// <summary>The bytes of the request. The endpoint disposes them after the call has ended.</summary>
    internal PooledBuffer Body { get; set; } = null!;

    /// <summary>Counts the memory of the call; null to count nothing.</summary>
    internal MemoryBudget? Memory { get; init; }

    internal RequestFacts Facts { get; set; } = new();

    /// <summary>
    /// Whether the request may ask for a prompt cache of one hour, wherever in it. Found on first use, because it reads the whole body.
    /// </summary>
    // The price also applies to a request that writes it with escapes.
    internal bool AsksForLongCache => _asksForLongCache ??=
        Body is { Length: > 0 } body && body.WrittenSpan.IndexOf("\"1h\""u8) >= 0;

    /// <summary>Whether the provider is asked for a stream: as the request says, unless a delivery decided otherwise.</summary>
    internal bool Streams
    {
        get => _streams ?? Facts.Stream;
        set => _streams = value;
    }

    /// <summary>Maximum output tokens: as the request says, unless the gateway set a cap. Null for no maximum.</summary>
    internal int? MaxOutputTokens => _outputCap > 0 ? _outputCap : Facts.MaxOutputTokens;

    /// <summary>The cap of the output that the gateway set, because the request has no maximum; null for none.</summary>
    internal int? OutputCap => _outputCap > 0 ? _outputCap : null;

    /// <summary>Caps the output of a call whose request has no maximum.</summary>
    /// <param name="tokens">1 or more.</param>
    internal void CapOutput(int tokens)
    {
        _outputCap = tokens;
        // A request that is forwarded as it is need not be translated for that.
        if (_conversation is { } read) _conversation = Capped(read);
    }

    /// <summary>Address of the client, for the audit record.</summary>
    internal IPAddress? Address { get; set; }

    /// <summary>Path of the endpoint, such as <c>/v1/chat/completions</c>.</summary>
    internal string Endpoint { get; set; } = "";

    /// <summary>The address of this server for links in the response.</summary>
    internal PublicAddress Site { get; set; }

    /// <summary>Headers of the request that are forwarded to Anthropic (anthropic-version, anthropic-beta).</summary>
    internal string? AnthropicVersion { get; set; }

    internal string? AnthropicBeta { get; set; }

    /// <summary>The Idempotency-Key header, or null.</summary>
    internal string? IdempotencyKey { get; set; }

    /// <summary>Set by the stage when the key is bound to this call.</summary>
    internal IdempotentRun? Idempotency { get; set; }

    /// <summary>How long it waits for the outcome of the request that it repeats, if that cannot be joined.</summary>
    internal TimeSpan RepeatTimeout { get; set; }

    /// <summary>Whether it continues without its client: as requested, or because a repeated request gets the result.</summary>
    internal bool ContinuesWithoutClient => Facts.Extension.OnDisconnect == OnDisconnect.Continue || IdempotencyKey is not null;

    /// <summary>Set for the run of a job that a worker took from the queue; null for all other calls.</summary>
    internal QueuedRun? QueuedRun { get; set; }

    /// <summary>Earlier responses that the connection of the call remembers; null if it remembers none.</summary>
    internal ResponseSession? Session { get; set; }

    /// <summary>The Fairlead-Simulate header; only simulated deployments read it.</summary>
    internal string? Simulate { get; set; }

    /// <summary>What scheduling knows of the call; null unless it had to wait for a slot.</summary>
    internal SchedulingTurn? Turn { get; set; }

    /// <summary>Id of the provider's key that has room for the next attempt; 0 for any.</summary>
    internal int ProviderKey { get; set; }

    /// <summary>What was taken of the provider's own limits for the next attempt.</summary>
    internal QuotaReservation QuotaReservation { get; set; }

    /// <summary>One of <see cref="CallClasses"/>, as decided from the request and the key.</summary>
    internal string Class { get; set; } = CallClasses.Default;

    /// <summary>When the caller no longer needs the response, or null.</summary>
    internal DateTimeOffset? Deadline { get; set; }

    /// <summary>
    /// Whether the request is translated to the canonical model even for a provider that speaks its dialect, because a stage reads its
    /// response.
    /// </summary>
    internal bool MustTranslate { get; set; }

    /// <summary>
    /// Number of the run, from 1. A generation is run again after a failure or a crash; each run has an audit record of its own.
    /// </summary>
    internal int Run { get; init; } = 1;

    /// <summary>How its response reaches the caller, if that was decided earlier; null if the request decides.</summary>
    internal GenerationDelivery? Delivery { get; init; }

    /// <summary>
    /// The lease of a stored generation's run; null for other calls. What the call stores elsewhere depends on it.
    /// </summary>
    internal RunLease? RunLease { get; set; }

    /// <summary>Set when another call continues with the generation, and ends it.</summary>
    internal bool HandedOver { get; set; }

    /// <summary>The content policies that apply to it, with what they found; null if none applies.</summary>
    internal CallPolicy? Policy { get; set; }

    /// <summary>Whether the content policies have seen its request, or none applies.</summary>
    internal bool HasPassedPolicies { get; set; }

    /// <summary>What the content policies met in its request when it was accepted; null for calls that run at once.</summary>
    internal CheckedInput? CheckedInput { get; init; }

    /// <summary>Set by the catalogue stage.</summary>
    internal CatalogueModel Model { get; set; } = null!;

    /// <summary>Maximum of input tokens, computed from the bytes of the request. Reserved before the call.</summary>
    internal long MaxInputTokens { get; set; }

    /// <summary>The estimate of the input tokens, or their count. Used if the provider reports no usage.</summary>
    internal TokenEstimate InputEstimate { get; set; }

    /// <summary>Reserved before the first attempt; settled when the call ends.</summary>
    internal TokenReservation? Reservation { get; set; }

    /// <summary>The limits that apply to the call, for its response; null if there are none.</summary>
    internal ICallLimits? Limits { get; set; }

    /// <summary>Whether it is only accepted now and runs later, as another call: then its rates are reserved when it starts.</summary>
    internal bool RunsLater { get; set; }

    /// <summary>Whether the next attempt repairs the output of the last one.</summary>
    internal bool IsRepair { get; set; }

    /// <summary>Where its stream may be continued if the provider is lost; null for calls that are not rescued.</summary>
    internal RescueScope? Rescue { get; set; }

    /// <summary>Whether a budget did not allow another attempt, so that the call ended.</summary>
    internal bool StoppedByBudget { get; set; }

    /// <summary>Bytes of the spool that are reserved for its record. Only for the spool.</summary>
    internal int RecordRoom { get; set; }

    /// <summary>The first part of the record of an attempt's start, which that of the call's end repeats; null before an attempt.</summary>
    internal (Attempt Attempt, byte[] Json)? RecordHead { get; set; }

    internal List<Attempt> Attempts { get; } = new(1);

    /// <summary>Sends its attempts instead of the providers; null for most calls.</summary>
    internal IAttemptSender? Sender { get; set; }

    /// <summary>Its part in work that it shares with other calls; null if it shares none.</summary>
    internal ICallShare? Share { get; set; }

    /// <summary>
    /// Attempts for other parts of the response than the next one: the reservation covers it together with them, and it replaces none.
    /// </summary>
    internal int CoveredAttempts { get; set; }

    /// <summary>Whether another call paid for its response, or for a part of it.</summary>
    internal bool IsCoalesced { get; set; }

    /// <summary>The Cache-Control header, or null.</summary>
    internal string? CacheControl { get; set; }

    /// <summary>Its output so far, for its audit record; null if that is not recorded.</summary>
    internal OutputCollector? Output { get; set; }

    /// <summary>How it uses the cache of responses; null if the cache is off.</summary>
    internal CacheUse? Cache { get; set; }

    /// <summary>Whether its response is from the cache.</summary>
    internal bool IsCached => Cache is { Status: CacheStatus.Hit };

    /// <summary>Whether its response must not be kept in the cache, nor come from it. A stage that checks content sets it.</summary>
    internal bool ForbidsCache { get; set; }

    /// <summary>
    /// The attempt whose response the client gets; null until one has responded. Not one of <see cref="Attempts"/> if another call made it.
    /// </summary>
    internal Attempt? Answering { get; set; }

    /// <summary>The attempt whose output arrives: that of the response, or one that reproduces what the client has.</summary>
    internal Attempt? Progressing => Rescue?.Running ?? Answering;

    /// <summary>
    /// The model that responses name: the one that answered, where the operator groups different ones under a name and does not hide them;
    /// otherwise that name.
    /// </summary>
    internal string ReportedModel => Answering?.Deployment.ReportedModel ?? Model.Id;

    /// <summary>The token of the call and why it fired.</summary>
    internal CallCancellation Cancellation { get; set; } = null!;

    internal CallEnding? Ending { get; set; }

    /// <summary>Completes when the first attempt is sent. From then on, only a provider can fail the call.</summary>
    internal Task Accepted => Acceptance.Task;

    internal void Accept() => Acceptance.TrySetResult();

    // Created on first use: most calls need none.
    private TaskCompletionSource Acceptance
    {
        get
        {
            if (Volatile.Read(ref _accepted) is { } known) return known;
            var made = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return Interlocked.CompareExchange(ref _accepted, made, null) ?? made;
        }
    }

    /// <summary>Refusals of the same key for the same reason since the last record that have no record of their own.</summary>
    internal long SuppressedRefusals { get; set; }

    /// <summary>Only for telemetry: how the call is counted.</summary>
    internal Telemetry.CallTrace Trace { get; set; }

    /// <summary>Only for telemetry: the span of the request, if there is a listener.</summary>
    internal System.Diagnostics.Activity? ServerSpan { get; set; }

    /// <summary>The client's trace, forwarded unchanged if this process creates no spans.</summary>
    internal Telemetry.IncomingTrace? IncomingTrace { get; set; }

    /// <summary>An immutable list: late headers are written while an attempt may still add warnings.</summary>
    internal IReadOnlyList<CallWarning> Warnings => Volatile.Read(ref _warnings)?.Snapshot ?? [];

    /// <summary>The request in the canonical form; created on first use.</summary>
    /// <exception cref="GatewayErrorException">The request cannot be expressed in it.</exception>
    /// <exception cref="InvalidOperationException">The dialect has no conversations.</exception>
    internal ConversationRequest Conversation
    {
        get => _conversation ??= ReadConversation();
        set => _conversation = value;
    }

    /// <summary>Replaces the request by another one that was read already: nothing of the first one is left.</summary>
    /// <param name="body">Its bytes, which the call owns from now on.</param>
    /// <param name="facts">What was found in them.</param>
    internal void Replace(PooledBuffer body, RequestFacts facts)
    {
        Body.Dispose();
        (Body, Facts) = (body, facts);
        (_conversation, _embeddings, _asksForLongCache) = (null, null, null);
    }

    /// <summary>Violations of the schema by a structured output; empty if it is valid, null if nothing was checked.</summary>
    internal IReadOnlyList<SchemaViolation>? Violations { get; set; }

    /// <summary>The embeddings request in the canonical form; created on first use.</summary>
    /// <exception cref="InvalidOperationException">The dialect has no embeddings.</exception>
    internal EmbeddingsRequest Embeddings => _embeddings ??=
        (Dialect.Embeddings ?? throw Untranslatable("embeddings request")).ToEmbeddings(this);

    /// <summary>Memory of the conversation beside the body: its texts as UTF-16. Media stay in the body.</summary>
    internal long ConversationBytes => 2 * Math.Max(0, Body.Length - Facts.InlineBytes);

    private ConversationRequest ReadConversation()
    {
        var translation = Dialect.Conversations ?? throw Untranslatable("conversation");
        // Counted as long as the body.
        Body?.Count(ConversationBytes);
        try
        {
            return Capped(translation.ToConversation(this));
        }
        catch
        {
            Body?.Uncount(ConversationBytes);
            throw;
        }
    }

    // A dialect may have a default that is lower.
    private ConversationRequest Capped(ConversationRequest conversation) =>
        _outputCap > 0 && !(conversation.MaxOutputTokens <= _outputCap) ? conversation with { MaxOutputTokens = _outputCap } : conversation;

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
            // Created on first use: most calls have no warning.
            var made = new CallWarnings();
            warnings = Interlocked.CompareExchange(ref _warnings, made, null) ?? made;
        }
        warnings.Add(code, message);
    }
}

/// <summary>Tokens of the input, counted or estimated before the provider counts them.</summary>
/// <param name="Tokens">Count or estimate.</param>
/// <param name="Basis">Measured only when counted with the model's own vocabulary.</param>
internal readonly record struct TokenEstimate(long Tokens, Basis Basis);

/// <summary>How a call ended. Set once, before the last byte is sent.</summary>
/// <param name="Outcome">How it ended.</param>
/// <param name="Usage">The usage of the response, as its client sees it.</param>
/// <param name="Cost">What all attempts cost.</param>
internal sealed record CallEnding(Outcome Outcome, Usage Usage, Cost Cost)
{
    /// <summary>The usage of all attempts, also failed ones: it is charged, so it counts for limits.</summary>
    public Usage Used { get; init; } = Usage;

    public GatewayError? Error { get; init; }
}
