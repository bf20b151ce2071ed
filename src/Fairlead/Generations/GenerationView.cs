using System.Buffers;
using System.Text.Json;
using Fairlead.Dialects.FairleadV2;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.Generations;

/// <summary>
/// A numbered view of the events of a stored generation: the same bytes for the same number, for every reader, at any time and on any node.
/// One for each reader; not thread-safe.
/// </summary>
internal abstract class GenerationView
{
    /// <summary>Writes what comes before the generation starts.</summary>
    public abstract void WriteStart(IBufferWriter<byte> output);

    /// <summary>Writes that the generation has started; always before its first event.</summary>
    /// <param name="started">The generation, with the time of its first run.</param>
    /// <param name="output">Receives the bytes.</param>
    public virtual void WriteStarted(GenerationRecord started, IBufferWriter<byte> output)
    {
    }

    public abstract void Write(EventBatch batch, IBufferWriter<byte> output);

    /// <summary>Writes the end, which is in the row of the generation.</summary>
    public abstract void WriteEnd(GenerationRecord ended, IBufferWriter<byte> output);
}

/// <summary>The view of <c>/v2/generations/{id}/events</c>, for generations of all dialects.</summary>
/// <param name="call">The call of the stored request.</param>
/// <param name="record">The stored generation.</param>
internal sealed class TypedEventsView(GatewayCall call, GenerationRecord record) : GenerationView
{
    private readonly V2StreamWriter _writer = new(call, record);

    public override void WriteStart(IBufferWriter<byte> output) => _writer.WriteStart(output);

    public override void WriteStarted(GenerationRecord started, IBufferWriter<byte> output) => _writer.WriteStarted(started, output);

    public override void Write(EventBatch batch, IBufferWriter<byte> output) => _writer.Write(batch, output);

    public override void WriteEnd(GenerationRecord ended, IBufferWriter<byte> output)
    {
        using var generation = new PooledBuffer(2048);
        using (var json = new Utf8JsonWriter(generation, ErrorBodyWriter.WriterOptions)) 
            GenerationWriter.WriteOne(json, ended, null, null, isStored: true);
        _writer.WriteEnd(ended, generation.WrittenSpan, output);
    }
}
