using System.Buffers;
using System.Text.Json;
using Fairlead.Dialects.FairleadV2;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.Generations;

/// <summary>
/// A numbered view of a kept generation's events: the same bytes for the same number, whoever reads it, when, and on which node. One per reader; not thread-safe.
/// </summary>
internal abstract class GenerationView
{
    /// <summary>What stands before the work on it begins.</summary>
    public abstract void WriteStart(IBufferWriter<byte> output);

    /// <summary>Work on it has begun; always before the first event that was made.</summary>
    /// <param name="begun">The generation with the time of its first run.</param>
    /// <param name="output">Takes what there is to say of it.</param>
    public virtual void WriteBegun(GenerationRecord begun, IBufferWriter<byte> output)
    {
    }

    public abstract void Write(EventBatch batch, IBufferWriter<byte> output);

    /// <summary>The end, which the generation's row tells.</summary>
    public abstract void WriteEnd(GenerationRecord ended, IBufferWriter<byte> output);
}

/// <summary>The view of <c>/v2/generations/{id}/events</c>, of a generation of any dialect.</summary>
/// <param name="call">The request read again.</param>
/// <param name="record">The generation as the database keeps it.</param>
internal sealed class TypedEventsView(GatewayCall call, GenerationRecord record) : GenerationView
{
    private readonly V2StreamWriter _writer = new(call, record);

    public override void WriteStart(IBufferWriter<byte> output) => _writer.WriteStart(output);

    public override void WriteBegun(GenerationRecord begun, IBufferWriter<byte> output) => _writer.WriteBegun(begun, output);

    public override void Write(EventBatch batch, IBufferWriter<byte> output) => _writer.Write(batch, output);

    public override void WriteEnd(GenerationRecord ended, IBufferWriter<byte> output)
    {
        using var generation = new PooledBuffer(2048);
        using (var json = new Utf8JsonWriter(generation, ErrorBodyWriter.WriterOptions)) GenerationWriter.WriteOne(json, ended, null, null);
        _writer.WriteEnd(ended, generation.WrittenSpan, output);
    }
}
