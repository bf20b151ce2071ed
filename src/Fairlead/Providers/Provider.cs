using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Fairlead.TokenCounting;

namespace Fairlead.Providers;

/// <summary>
/// An adapter to one vendor or server. Thread-safe; one for each configured provider, with the lifetime of its configuration.
/// It makes exactly one attempt per call of <see cref="SendAsync"/>: Routing does retries and failover.
/// </summary>
internal abstract class Provider(string name, string kind)
{
    private readonly string _telemetryName = kind;

    protected Provider(string name, ProviderKind kind)
        : this(name, kind.Name)
    {
        _telemetryName = kind.TelemetryName;
        ChargesCacheWrites = kind.ChargesCacheWrites;
        MaxEmbeddingInputs = kind.MaxEmbeddingInputs;
    }

    /// <summary>Name in the configuration.</summary>
    public string Name { get; } = name;

    public string Kind { get; } = kind;

    /// <summary>Value of <c>gen_ai.provider.name</c>.</summary>
    public virtual string TelemetryName => _telemetryName;

    /// <summary>Whether it charges a premium for cache writes, even if no price of the model mentions one.</summary>
    public bool ChargesCacheWrites { get; }

    /// <summary>Maximum inputs of one embeddings request; null for as many as a client may send.</summary>
    public int? MaxEmbeddingInputs { get; }

    /// <summary>Its address; null when it needs no network.</summary>
    public virtual Uri? Endpoint => null;

    /// <summary>Ids of the keys with which it is called; empty if it needs none, or if its limits are not those of a key.</summary>
    public virtual int[] KeyIds => [];

    /// <summary>
    /// Those of <see cref="KeyIds"/> that may be used now. If all were rejected, the one that is tested next: a call goes there in any case.
    /// </summary>
    public virtual int[] UsableKeyIds => KeyIds;

    /// <summary>Value of <c>openai.api.type</c> for a call: which of OpenAI's APIs it goes to, or null for other providers.</summary>
    public virtual string? OpenAiTypeOf(GatewayCall call) => null;

    /// <summary>Whether bytes of this dialect can be forwarded.</summary>
    public abstract bool Speaks(Dialect dialect);

    /// <summary>The wire by which the call's own bytes are forwarded; null when the call is translated.</summary>
    internal NativeWire? WireOf(GatewayCall call) => !call.MustTranslate && Speaks(call.Dialect) ? call.Dialect.Native : null;

    /// <summary>The service tier that this provider is asked for; null if the request names none or the field is not sent here.</summary>
    internal string? ServiceTierFor(GatewayCall call) =>
        call.Facts.ServiceTier is { } tier
            && (WireOf(call) is not null || (call.Dialect.Native is { Family: ApiFamily.OpenAi } && OpenAiTypeOf(call) is not null))
            ? tier : null;

    /// <summary>Requests a path at its address with GET, with its credential, as a sign of life. Only providers with an address.</summary>
    /// <param name="path">The path, with its first slash.</param>
    /// <param name="timeout">For connection and headers.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public virtual ValueTask<PathResponse> RequestPathAsync(string path, TimeSpan timeout, CancellationToken cancellationToken) =>
        throw new NotSupportedException($"The provider {Name} has no address.");

    /// <summary>
    /// Has a moderation model judge a request in OpenAI's form, with one try: a body or a failure. Null if the provider has no such API.
    /// </summary>
    /// <param name="call">The call.</param>
    /// <param name="attempt">Gets what happens to the request, as an attempt of any call does.</param>
    /// <param name="body">The request, which names the model as the provider does.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public virtual ValueTask<GatewayReply?> ModerateAsync(
        GatewayCall call, Attempt attempt, ReadOnlyMemory<byte> body, CancellationToken cancellationToken) => default;

    /// <summary>
    /// Whether its server is known to continue a turn of the assistant at the end of a conversation, unless the catalogue says otherwise of
    /// the model. Many servers accept such a conversation and answer it with a new turn.
    /// </summary>
    public virtual bool ContinuesAssistantTurn => false;

    /// <summary>Why this provider cannot serve the call although the model can, or null; asked before an attempt is made.</summary>
    public virtual GatewayError? Refuse(GatewayCall call) => null;

    /// <summary>Whether the call itself ordered the faults of its attempts, so that they say nothing about the provider.</summary>
    public virtual bool IsFaultRequested(GatewayCall call) => false;

    /// <summary>
    /// Whether values that the dialect's own servers do not support are rejected here too: it is such a server, or not a server at all.
    /// </summary>
    protected virtual bool HoldsToTheList => true;

    /// <summary>Why a value in the request that is not on the dialect's list excludes this provider, or null.</summary>
    internal GatewayError? RefuseUnknownValue(GatewayCall call) =>
        call.Facts.UnknownValueError is null && call.Facts.LongToolName is null ? null : RefuseUnknownValue(call, WireOf(call) is not null);

    /// <param name="call">The call.</param>
    /// <param name="isNative">Whether the body is forwarded.</param>
    protected GatewayError? RefuseUnknownValue(GatewayCall call, bool isNative) =>
        (HoldsToTheList || (!isNative && call.Facts.UnknownValueIsRead) ? call.Facts.UnknownValueError : null)
        ?? (HoldsToTheList && !ShortensToolNames ? call.Facts.LongToolName : null);

    /// <summary>Whether tool names that are too long are shortened here, also in forwarded bodies.</summary>
    protected virtual bool ShortensToolNames => false;

    /// <summary>
    /// Reads a whole response that came although a stream was requested; null when it is not one. Usage, finish and model go to
    /// <paramref name="meter"/>.
    /// </summary>
    internal virtual ModelResponse? ReadDocument(GatewayCall call, ReadOnlyMemory<byte> body, OutputMeter meter) => null;

    /// <summary>
    /// One attempt. Every provider error is returned as <see cref="GatewayReply.AttemptFailed"/>; it throws only
    /// <see cref="OperationCanceledException"/> of <paramref name="cancellationToken"/>, and for bugs. The token covers all reasons to stop
    /// (client, deadline, total timeout). The adapter applies the connect, first-token and idle timeouts and returns them as
    /// <see cref="ErrorCode.ProviderTimeout"/>.
    /// </summary>
    public abstract ValueTask<GatewayReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken);
}
