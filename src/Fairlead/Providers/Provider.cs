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
/// An adapter to one company or server. Thread-safe; one for each configured provider, living as long as its configuration.
/// It makes exactly one try per call of <see cref="SendAsync"/>: retry and failover are Routing's.
/// </summary>
internal abstract class Provider(string name, string kind)
{
    private readonly string _telemetryName = kind;

    protected Provider(string name, ProviderKind kind)
        : this(name, kind.Name)
    {
        _telemetryName = kind.TelemetryName;
        ChargesCacheWrites = kind.ChargesCacheWrites;
    }

    /// <summary>Name in the configuration.</summary>
    public string Name { get; } = name;

    public string Kind { get; } = kind;

    /// <summary>Value of <c>gen_ai.provider.name</c>.</summary>
    public virtual string TelemetryName => _telemetryName;

    /// <summary>Whether it charges a premium for writes to its cache, even if no price of the model mentions one.</summary>
    public bool ChargesCacheWrites { get; }

    /// <summary>Where it is reached; null when no network is between.</summary>
    public virtual Uri? Endpoint => null;

    /// <summary>Value of <c>openai.api.type</c> for a call: which of OpenAI's interfaces it goes to, or null at everybody else.</summary>
    public virtual string? OpenAiTypeOf(GatewayCall call) => null;

    /// <summary>Whether bytes of this dialect can go through as they are.</summary>
    public abstract bool Speaks(Dialect dialect);

    /// <summary>The wire by which the call's own bytes are forwarded; null when the call is translated.</summary>
    internal NativeWire? WireOf(GatewayCall call) => !call.InInnerLanguage && Speaks(call.Dialect) ? call.Dialect.Native : null;

    /// <summary>Why this provider cannot serve the call although the model can, or null; asked before an attempt is made.</summary>
    public virtual GatewayError? Refuse(GatewayCall call) => null;

    /// <summary>Whether words that the dialect's own servers do not know are refused here too: it is such a server, or no server at all.</summary>
    protected virtual bool HoldsToTheList => true;

    /// <summary>Why a word in the request that is not on the dialect's list keeps this provider from it, or null.</summary>
    internal GatewayError? RefuseForeignWord(GatewayCall call) =>
        call.Facts.ForeignWord is null && call.Facts.LongToolName is null ? null : RefuseForeignWord(call, WireOf(call) is not null);

    /// <param name="call">The call.</param>
    /// <param name="isNative">Whether the body goes through.</param>
    protected GatewayError? RefuseForeignWord(GatewayCall call, bool isNative) =>
        (HoldsToTheList || (!isNative && call.Facts.ForeignWordIsRead) ? call.Facts.ForeignWord : null)
        ?? (HoldsToTheList && !ShortensToolNames ? call.Facts.LongToolName : null);

    /// <summary>Whether names of tools that are too long are shortened here, also in bodies that go through.</summary>
    protected virtual bool ShortensToolNames => false;

    /// <summary>Reads a whole response that came where a stream was asked for; null when it is none. Usage, finish and model go to <paramref name="meter"/>.</summary>
    internal virtual Answer? ReadDocument(GatewayCall call, ReadOnlyMemory<byte> body, AnswerMeter meter) => null;

    /// <summary>
    /// One try. Everything a healthy provider does wrong comes back as <see cref="ProviderReply.Failed"/>; it throws only
    /// <see cref="OperationCanceledException"/> of <paramref name="cancellationToken"/>, and for bugs.
    /// The token stands for all reasons to stop (client, deadline, total timeout); connect, first-token and idle timeouts are the adapter's
    /// and come back as <see cref="ErrorCode.ProviderTimeout"/>.
    /// </summary>
    public abstract ValueTask<ProviderReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken);
}

/// <summary>What to do about a failure, in the provider's own judgement (CONTRACTS 5.6).</summary>
internal enum FailureClass
{
    /// <summary>The same deployment may succeed in a moment; then the next.</summary>
    Retry,

    /// <summary>Not here, but another deployment may (credentials, missing model, no room).</summary>
    Failover,

    /// <summary>The request is at fault; nobody should be asked again.</summary>
    GiveBack,
}

/// <summary>What one try brought.</summary>
internal abstract class ProviderReply
{
    private ProviderReply()
    {
    }

    public sealed class Failed(GatewayError error, FailureClass failureClass, int? status = null) : ProviderReply
    {
        public GatewayError Error { get; } = error;

        public FailureClass Class { get; } = failureClass;

        /// <summary>The provider's HTTP status, if it answered.</summary>
        public int? Status { get; } = status;
    }

    /// <summary>A whole body in the caller's dialect, already scanned into the attempt's meter.</summary>
    public sealed class NativeBody(PooledBuffer body) : ProviderReply
    {
        public PooledBuffer Body { get; } = body;
    }

    /// <summary>Finish reason and usage are already in the attempt's meter.</summary>
    public sealed class Complete(Answer answer) : ProviderReply
    {
        public Answer Answer { get; } = answer;
    }

    /// <summary>
    /// An open stream, native or canonical. A native source feeds the attempt's meter itself; Routing feeds it from canonical events.
    /// </summary>
    public sealed class Streaming(IEventSource events) : ProviderReply
    {
        public IEventSource Events { get; } = events;
    }

    public sealed class Embedded(EmbeddingsAnswer answer) : ProviderReply
    {
        public EmbeddingsAnswer Answer { get; } = answer;
    }

    public sealed class Counted(long inputTokens) : ProviderReply
    {
        public long InputTokens { get; } = inputTokens;
    }
}
