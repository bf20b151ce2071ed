using Fairlead.Conversation;
using Fairlead.Delivery;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Streaming;

namespace Fairlead.Pipeline;

/// <summary>The result of the pipeline. Refusals are values; only bugs throw.</summary>
internal abstract class GatewayReply
{
    private GatewayReply()
    {
    }

    public sealed class Refused(GatewayError error) : GatewayReply
    {
        public GatewayError Error { get; } = error;
    }

    /// <summary>The call may run, now or later, and its worst-case cost is reserved.</summary>
    public sealed class Admitted : GatewayReply
    {
        public static readonly Admitted Instance = new();
    }

    /// <summary>A whole body in the caller's own dialect, forwarded almost unchanged. The delivery disposes it.</summary>
    public sealed class NativeBody(PooledBuffer body) : GatewayReply
    {
        public PooledBuffer Body { get; } = body;
    }

    /// <summary>A whole response in the canonical form.</summary>
    public sealed class Complete(ModelResponse answer) : GatewayReply
    {
        public ModelResponse Response { get; } = answer;
    }

    /// <summary>A stream whose first content has arrived, or whose attempt has ended. The delivery disposes it.</summary>
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
