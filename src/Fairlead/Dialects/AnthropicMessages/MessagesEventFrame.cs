using System.Buffers;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>The frame of every event: name, number, and Fairlead's additions after the native members. Counts events from 0.</summary>
internal sealed class MessagesEventFrame(GatewayCall call)
{
    private long _next;

    /// <summary>Whether Fairlead may add to the native shape.</summary>
    public bool IsExtended { get; } = call.Caller.Extensions;

    /// <summary>Everything before an event's data.</summary>
    public void Begin(ref JsonAppender json, int kind)
    {
        json.Raw(MessagesEventKind.Line(kind));
        BeginData(ref json);
    }

    /// <summary>Like <see cref="Begin(ref JsonAppender, int)"/>, for a newer name.</summary>
    public void Begin(ref JsonAppender json, scoped ReadOnlySpan<byte> name)
    {
        json.Raw("event: "u8);
        json.Raw(name);
        json.Raw("\n"u8);
        BeginData(ref json);
    }

    /// <summary>Ends data whose closing brace has not been written yet.</summary>
    public void End(ref JsonAppender json, MessagesEventAddition addition = MessagesEventAddition.None)
    {
        if (IsExtended)
        {
            json.Raw(",\"sequence_number\":"u8);
            json.Number(_next);
            if (addition != MessagesEventAddition.None) json.Raw(",\"fairlead\":"u8);
            if (addition == MessagesEventAddition.Start) FairleadObjectWriter.AppendStart(ref json, call);
            if (addition == MessagesEventAddition.Final) FairleadObjectWriter.AppendFinal(ref json, call);
        }
        json.Raw("}\n\n"u8);
        _next++;
    }

    /// <summary>A native JSON object without its closing brace, on one line.</summary>
    public static void AppendOpen(ref JsonAppender json, scoped ReadOnlySpan<byte> data)
    {
        data = data[..data.LastIndexOf((byte)'}')];
        while (true)
        {
            // Line breaks occur only between JSON tokens; one inside a data line would end it.
            var at = data.IndexOfAny((byte)'\n', (byte)'\r');
            json.Raw(at < 0 ? data : data[..at]);
            if (at < 0) return;
            json.Raw(" "u8);
            data = data[(at + 1)..];
        }
    }

    private void BeginData(ref JsonAppender json)
    {
        if (IsExtended)
        {
            json.Raw("id: "u8);
            json.Number(_next);
            json.Raw("\n"u8);
        }
        json.Raw("data: "u8);
    }
}

/// <summary>Form of the <c>fairlead</c> object in an event.</summary>
internal enum MessagesEventAddition
{
    None,
    Start,
    Final,
}
