using System.Text;
using Fairlead.Streaming;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>Frames events and numbers them from 0 without gaps. One per stream.</summary>
internal sealed class ResponsesEventFrame(EventFormat format)
{
    private readonly bool _isLines = format == EventFormat.JsonLines;
    private long _sequence;

    /// <summary>The number of the next event.</summary>
    public long Next => _sequence;

    /// <summary>Starts an event; its own members follow, each with a comma before it, and no raw line break.</summary>
    public void Begin(ref JsonAppender json, scoped ReadOnlySpan<byte> type)
    {
        Open(ref json, type);
        json.Raw("{\"type\":\""u8);
        json.Raw(type);
        json.Raw("\",\"sequence_number\":"u8);
        json.Number(_sequence++);
    }

    public void End(ref JsonAppender json) => json.Raw(_isLines ? "}\n"u8 : "}\n\n"u8);

    /// <summary>An event whose JSON lacks only its number.</summary>
    /// <param name="json">Receives the event.</param>
    /// <param name="type">Its name.</param>
    /// <param name="data">One object on one line, not empty, without <c>sequence_number</c>.</param>
    public void Whole(ref JsonAppender json, string type, scoped ReadOnlySpan<byte> data)
    {
        Open(ref json, _isLines ? default : Encoding.UTF8.GetBytes(type));
        json.Raw(data[..^1]);
        json.Raw(",\"sequence_number\":"u8);
        json.Number(_sequence++);
        End(ref json);
    }

    /// <summary>The end mark of server-sent events. As messages, the last event says it.</summary>
    public void Done(ref JsonAppender json)
    {
        if (!_isLines) json.Raw("data: [DONE]\n\n"u8);
    }

    private void Open(ref JsonAppender json, scoped ReadOnlySpan<byte> type)
    {
        if (_isLines) return;
        json.Raw("event: "u8);
        json.Raw(type);
        json.Raw("\ndata: "u8);
    }
}
