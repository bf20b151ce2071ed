using Fairlead.Conversation;
using Fairlead.Delivery;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Streaming;

namespace Fairlead.Pipeline;

/// <summary>What the pipeline answers with. Refusals are values; only bugs throw.</summary>
internal abstract class GatewayReply
{
    private GatewayReply()
    {
    }

    public sealed class Refused(GatewayError error) : GatewayReply
    {
        public GatewayError Error { get; } = error;
    }

    /// <summary>Nothing stands against the call and what it may cost is held; it may be sent later.</summary>
    public sealed class Admitted : GatewayReply
    {
        public static readonly Admitted Instance = new();
    }

    /// <summary>A whole body in the caller's own dialect; goes through with little more than splicing. The edge disposes it.</summary>
    public sealed class NativeBody(PooledBuffer body) : GatewayReply
    {
        public PooledBuffer Body { get; } = body;
    }

    /// <summary>A whole answer in the inner language.</summary>
    public sealed class Complete(ModelResponse answer) : GatewayReply
    {
        public ModelResponse Response { get; } = answer;
    }

    /// <summary>A stream whose first content is there (or whose attempt is over). The edge disposes it.</summary>
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

    /// <summary>The stream of the request that this one repeats, still under way.</summary>
    public sealed class Joined(string generationId, ReplayLog log) : GatewayReply
    {
        public string GenerationId { get; } = generationId;

        public ReplayLog Log { get; } = log;
    }

    /// <summary>The job that was made of the request that this one repeats.</summary>
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
