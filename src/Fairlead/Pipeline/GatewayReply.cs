using Fairlead.Conversation;
using Fairlead.Delivery;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Streaming;

namespace Fairlead.Pipeline;

/// <summary>
/// The result of one attempt and of the whole pipeline. Refusals are values; only bugs throw. Providers return
/// <see cref="AttemptFailed"/> and the responses; Routing turns a failed attempt into another attempt or <see cref="Refused"/>.
/// </summary>
internal abstract class GatewayReply
{
    private GatewayReply()
    {
    }

    public sealed class Refused(GatewayError error) : GatewayReply
    {
        public GatewayError Error { get; } = error;
    }

    /// <summary>One attempt failed. Only providers return it.</summary>
    public sealed class AttemptFailed(GatewayError error, FailureClass failureClass, int? status = null) : GatewayReply
    {
        public GatewayError Error { get; } = error;

        public FailureClass Class { get; } = failureClass;

        /// <summary>The provider's HTTP status, if it responded.</summary>
        public int? Status { get; } = status;
    }

    /// <summary>The call may run, now or later, and its worst-case cost is reserved.</summary>
    public sealed class Admitted : GatewayReply
    {
        public static readonly Admitted Instance = new();
    }

    /// <summary>
    /// A whole body in the caller's own dialect, forwarded almost unchanged, and already scanned into the attempt's meter. The delivery
    /// disposes it.
    /// </summary>
    public sealed class NativeBody(PooledBuffer body) : GatewayReply
    {
        public PooledBuffer Body { get; } = body;
    }

    /// <summary>A whole response in the canonical form. Finish reason and usage are already in the attempt's meter.</summary>
    public sealed class Complete(ModelResponse answer) : GatewayReply
    {
        public ModelResponse Response { get; } = answer;
    }

    /// <summary>
    /// From a provider an open stream, native or canonical: a native source updates the attempt's meter itself, Routing updates it from
    /// canonical events. From Routing a stream whose first content has arrived, or whose attempt has ended. The delivery disposes it.
    /// </summary>
    public sealed class Streaming(IEventSource events) : GatewayReply
    {
        public IEventSource Events { get; } = events;
    }

    /// <summary>The stored outcome of the request that this one repeats.</summary>
    public sealed class Replayed(string generationId, int status, string contentType, byte[] body, bool broken) : GatewayReply
    {
        public string GenerationId { get; } = generationId;

        public int Status { get; } = status;

        public string ContentType { get; } = contentType;

        public byte[] Body { get; } = body;

        /// <summary>Whether it was a stream that ended with an aborted connection.</summary>
        public bool Broken { get; } = broken;
    }

    /// <summary>The stream of the request that this one repeats, which is still in progress.</summary>
    public sealed class Joined(string generationId, ReplayLog log) : GatewayReply
    {
        public string GenerationId { get; } = generationId;

        public ReplayLog Log { get; } = log;
    }

    /// <summary>The job of the request that this one repeats.</summary>
    public sealed class ReplayedJob(GenerationRecord record) : GatewayReply
    {
        public GenerationRecord Record { get; } = record;
    }

    public sealed class Embedded(EmbeddingsResponse answer) : GatewayReply
    {
        public EmbeddingsResponse Response { get; } = answer;
    }

    public sealed class Counted(long inputTokens, Basis basis = Basis.Measured) : GatewayReply
    {
        /// <summary>Whether they were counted, or estimated for a vocabulary that is not published.</summary>
        public Basis Basis { get; } = basis;

        public long InputTokens { get; } = inputTokens;
    }
}

/// <summary>The provider's advice after a failure.</summary>
internal enum FailureClass
{
    /// <summary>The same deployment may succeed in a moment; then the next.</summary>
    Retry,

    /// <summary>Another deployment may succeed (credentials, missing model, no capacity).</summary>
    Failover,

    /// <summary>The request is invalid; no deployment is tried again.</summary>
    GiveBack,
}
