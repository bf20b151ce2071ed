using System.Buffers;
using System.Text;
using Fairlead.Conversation;
using Fairlead.Generations;
using Fairlead.Generations.Events;
using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.Dialects.FairleadV2;

/// <summary>
/// Writes typed events, numbered from 0 without gaps: <c>generation.created</c>, the output, and last <c>generation.completed</c>,
/// <c>.incomplete</c>, <c>.failed</c> or <c>.cancelled</c> with the whole generation. The call runs for its client, or the
/// generation is stored. One per stream.
/// </summary>
/// <param name="call">The call, or the request read again.</param>
/// <param name="kept">The stored generation; null for a call that runs for its client.</param>
internal sealed class V2StreamWriter(GatewayCall call, GenerationRecord? kept = null) : DialectStreamWriter
{
    private readonly OutputBuilder _answer = new();
    private readonly ArrayBufferWriter<byte> _object = new(1024);
    private IReadOnlyList<CallWarning> _warned = [];
    private readonly Dictionary<int, int> _nativeCalls = [];
    private long _sequence;
    private bool _created;
    private bool _begun;

    /// <summary>The call is accepted. One that is not stored starts at once.</summary>
    public override void WriteStart(IBufferWriter<byte> output)
    {
        if (_created) return;
        _created = true;
        V2GenerationObject.WriteCreated(call, kept, _object);
        Generation(output, "generation.created"u8);
        if (kept is null)
        {
            WriteStarted(null, output);
        }
        else if (kept.Context.Queued)
        {
            V2GenerationObject.WriteCreated(call, kept, _object);
            Generation(output, "generation.queued"u8);
        }
    }

    /// <summary>Its execution has started.</summary>
    /// <param name="record">The stored generation, with the time of its first run; null for one that is not stored.</param>
    /// <param name="output">Receives the event.</param>
    public void WriteStarted(GenerationRecord? record, IBufferWriter<byte> output)
    {
        if (_begun) return;
        WriteStart(output);
        if (_begun) return;
        _begun = true;
        V2GenerationObject.WriteStarted(call, record, _object);
        Generation(output, "generation.started"u8);
    }

    public override void Write(EventBatch batch, IBufferWriter<byte> output)
    {
        WriteStart(output);
        var json = new JsonAppender(output);
        WriteWarnings(ref json);
        foreach (var item in batch.Items)
        {
            if (item.Event is not { } made) throw new InvalidOperationException("No provider uses this dialect.");
            if (kept is null) _answer.Add(made);
            // For a generation of another dialect: the text of its provider.
            if ((made is NativeEvent native ? Translate(native) : made) is { } known) Write(ref json, known);
        }
        json.Flush();
    }

    public override void WriteEnd(IBufferWriter<byte> output)
    {
        WriteStart(output);
        var json = new JsonAppender(output);
        WriteWarnings(ref json);
        json.Flush();
        var answer = _answer.Build();
        V2GenerationObject.WriteEnded(call, answer.Choices.Count > 0 ? answer : null, _object);
        Generation(output, Encoding.UTF8.GetBytes("generation." + call.Ending!.Outcome.ToStatus().ToWire()));
    }

    /// <summary>Ends the view of a stored generation.</summary>
    /// <param name="ended">The generation.</param>
    /// <param name="generation">The whole generation as clients see it.</param>
    /// <param name="output">Receives the event.</param>
    public void WriteEnd(GenerationRecord ended, ReadOnlySpan<byte> generation, IBufferWriter<byte> output)
    {
        WriteStart(output);
        if (ended.StartedAt is not null) WriteStarted(ended, output);
        _object.Write(generation);
        Generation(output, Encoding.UTF8.GetBytes("generation." + ended.Status.ToWire()));
    }

    // A stored generation has them among its events.
    private void WriteWarnings(ref JsonAppender json)
    {
        if (kept is not null) return;
        var warnings = call.Warnings;
        if (ReferenceEquals(warnings, _warned) || warnings.Count == 0) return;
        foreach (var warning in warnings)
        {
            if (!_warned.Contains(warning)) Warning(ref json, warning.Code, warning.Message);
        }
        _warned = warnings;
    }

    private GenerationEvent? Translate(NativeEvent native) =>
        call.Dialect.Native?.Streams?.Collector?.Translate(native.Data, native.Kind) switch
    {
        ToolCallStarted started => started with { Index = _nativeCalls[started.Index] = _nativeCalls.Count },
        ToolCallDelta delta => _nativeCalls.TryGetValue(delta.Index, out var index) ? delta with { Index = index } : null,
        var made => made,
    };

    private void Write(ref JsonAppender json, GenerationEvent made)
    {
        switch (made)
        {
            case GenerationRestarted restarted:
                _nativeCalls.Clear();
                Begin(ref json, "generation.restarted"u8);
                json.Raw(",\"run\":"u8);
                json.Number((long)restarted.Run);
                json.Raw("}\n\n"u8);
                break;
            case GenerationWarned warned: Warning(ref json, warned.Code, warned.Message); break;
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
            case TextDelta { Text.Length: > 0 } text: Text(ref json, "output.text.delta"u8, text.Text); break;
            case RefusalDelta { Text.Length: > 0 } refusal: Text(ref json, "output.refusal.delta"u8, refusal.Text); break;
            case ReasoningDelta { Text.Length: > 0 } reasoning: Text(ref json, "output.reasoning.delta"u8, reasoning.Text); break;
            case ToolCallStarted started:
                Begin(ref json, "output.tool_call.delta"u8);
                json.Raw(",\"index\":"u8);
                json.Number((long)started.Index);
                json.Raw(",\"id\":"u8);
                json.String(started.Id);
                json.Raw(",\"name\":"u8);
                json.String(started.Name);
                json.Raw(",\"arguments\":\"\"}\n\n"u8);
                break;
            case ToolCallDelta { Arguments.Length: > 0 } fragment:
                Begin(ref json, "output.tool_call.delta"u8);
                json.Raw(",\"index\":"u8);
                json.Number((long)fragment.Index);
                json.Raw(",\"arguments\":"u8);
                json.String(fragment.Arguments);
                json.Raw("}\n\n"u8);
                break;
            // The last event has the finish reasons, counts and failures.
        }
    }

    private void Text(ref JsonAppender json, ReadOnlySpan<byte> type, string text)
    {
        Begin(ref json, type);
        json.Raw(",\"text\":"u8);
        json.String(text);
        json.Raw("}\n\n"u8);
    }

    private void Warning(ref JsonAppender json, string code, string message)
    {
        Begin(ref json, "generation.warning"u8);
        json.Raw(",\"code\":"u8);
        json.String(code);
        json.Raw(",\"message\":"u8);
        json.String(message);
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
