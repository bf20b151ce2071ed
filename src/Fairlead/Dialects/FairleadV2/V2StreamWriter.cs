using System.Buffers;
using System.Text;
using Fairlead.Generations;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Streaming;

namespace Fairlead.Dialects.FairleadV2;

/// <summary>
/// Writes a stream of typed events, numbered from 0 without gaps: it begins with <c>generation.started</c> when the call is accepted, and ends with
/// <c>generation.completed</c>, <c>.incomplete</c>, <c>.failed</c> or <c>.cancelled</c>, each with the whole generation. One per stream.
/// </summary>
internal sealed class V2StreamWriter(GatewayCall call) : DialectStreamWriter
{
    private readonly AnswerBuilder _answer = new();
    private readonly ArrayBufferWriter<byte> _object = new(1024);
    private long _sequence;
    private bool _begun;

    public override void WriteStart(IBufferWriter<byte> output)
    {
        if (_begun) return;
        _begun = true;
        V2GenerationObject.WriteStarted(call, _object);
        Generation(output, "generation.started"u8);
    }

    public override void Write(EventBatch batch, IBufferWriter<byte> output)
    {
        WriteStart(output);
        var json = new JsonAppender(output);
        foreach (var item in batch.Items)
        {
            if (item.Event is not { } made) throw new InvalidOperationException("No provider speaks this dialect.");
            if (made is not GenerationRestarted) _answer.Add(made);
            Write(ref json, made);
        }
        json.Flush();
    }

    public override void WriteEnd(IBufferWriter<byte> output)
    {
        WriteStart(output);
        var answer = _answer.Build();
        V2GenerationObject.WriteEnded(call, answer.Choices.Count > 0 ? answer : null, _object);
        Generation(output, Encoding.UTF8.GetBytes("generation." + call.Ending!.Outcome.ToStatus().ToWire()));
    }

    /// <summary>Ends the view of a generation that is kept.</summary>
    /// <param name="status">How it ended.</param>
    /// <param name="generation">The whole generation.</param>
    /// <param name="output">Takes the event.</param>
    public void WriteEnd(GenerationStatus status, ReadOnlySpan<byte> generation, IBufferWriter<byte> output)
    {
        WriteStart(output);
        _object.Write(generation);
        Generation(output, Encoding.UTF8.GetBytes("generation." + status.ToWire()));
    }

    private void Write(ref JsonAppender json, GenerationEvent made)
    {
        switch (made)
        {
            case GenerationRestarted restarted:
                Begin(ref json, "generation.restarted"u8);
                json.Raw(",\"run\":"u8);
                json.Number((long)restarted.Run);
                json.Raw("}\n\n"u8);
                break;
            case PartialValue partial:
                Begin(ref json, "output.partial"u8);
                json.Raw(",\"pointer\":"u8);
                json.String(partial.Pointer);
                json.Raw(",\"value\":"u8);
                json.Raw(Encoding.UTF8.GetBytes(partial.Json));
                json.Raw("}\n\n"u8);
                break;
            case OutputRepaired repaired:
                Begin(ref json, "output.repair"u8);
                json.Raw(",\"violations\":["u8);
                for (var i = 0; i < repaired.Violations.Count; i++)
                {
                    json.Raw(i == 0 ? "{\"pointer\":"u8 : ",{\"pointer\":"u8);
                    json.String(repaired.Violations[i].Pointer);
                    json.Raw(",\"detail\":"u8);
                    json.String(repaired.Violations[i].Detail);
                    json.Raw("}"u8);
                }
                json.Raw("]}\n\n"u8);
                break;
            case TextDelta { Text.Length: > 0 } text: Delta(ref json, "text.delta"u8, text.Text); break;
            case RefusalDelta { Text.Length: > 0 } refusal: Delta(ref json, "refusal.delta"u8, refusal.Text); break;
            case ReasoningDelta { Text.Length: > 0 } reasoning: Delta(ref json, "reasoning.delta"u8, reasoning.Text); break;
            case ToolCallStarted started:
                Begin(ref json, "tool_call.started"u8);
                json.Raw(",\"index\":"u8);
                json.Number((long)started.Index);
                json.Raw(",\"id\":"u8);
                json.String(started.Id);
                json.Raw(",\"name\":"u8);
                json.String(started.Name);
                json.Raw("}\n\n"u8);
                break;
            case ToolCallDelta { Arguments.Length: > 0 } fragment:
                Begin(ref json, "tool_call.delta"u8);
                json.Raw(",\"index\":"u8);
                json.Number((long)fragment.Index);
                json.Raw(",\"delta\":"u8);
                json.String(fragment.Arguments);
                json.Raw("}\n\n"u8);
                break;
            // Ends, counts and failures are told by the last event.
        }
    }

    private void Delta(ref JsonAppender json, ReadOnlySpan<byte> type, string text)
    {
        Begin(ref json, type);
        json.Raw(",\"delta\":"u8);
        json.String(text);
        json.Raw("}\n\n"u8);
    }

    private void Generation(IBufferWriter<byte> output, ReadOnlySpan<byte> type)
    {
        var json = new JsonAppender(output);
        Begin(ref json, type);
        json.Raw(",\"generation\":"u8);
        json.Raw(_object.WrittenSpan);
        json.Raw("}\n\n"u8);
        json.Flush();
        _object.ResetWrittenCount();
    }

    private void Begin(ref JsonAppender json, ReadOnlySpan<byte> type)
    {
        json.Raw("id: "u8);
        json.Number(_sequence);
        json.Raw("\nevent: "u8);
        json.Raw(type);
        json.Raw("\ndata: {\"type\":\""u8);
        json.Raw(type);
        json.Raw("\",\"sequence_number\":"u8);
        json.Number(_sequence++);
    }
}
