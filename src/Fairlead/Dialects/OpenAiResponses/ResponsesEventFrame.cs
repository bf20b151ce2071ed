using System.Text;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>Frames events and numbers them from 0 without gaps. One per stream.</summary>
internal sealed class ResponsesEventFrame
{
    private long _sequence;

    /// <summary>The number of the next event.</summary>
    public long Next => _sequence;

    /// <summary>Starts an event; its own members follow, each with a comma before it.</summary>
    public void Begin(ref JsonAppender json, scoped ReadOnlySpan<byte> type)
    {
        json.Raw("event: "u8);
        json.Raw(type);
        json.Raw("\ndata: {\"type\":\""u8);
        json.Raw(type);
        json.Raw("\",\"sequence_number\":"u8);
        json.Number(_sequence++);
    }

    public static void End(ref JsonAppender json) => json.Raw("}\n\n"u8);

    /// <summary>An event whose JSON lacks only its number.</summary>
    /// <param name="json">Receives the event.</param>
    /// <param name="type">Its name.</param>
    /// <param name="data">One object on one line, not empty, without <c>sequence_number</c>.</param>
    public void Whole(ref JsonAppender json, string type, scoped ReadOnlySpan<byte> data)
    {
        json.Raw("event: "u8);
        json.Raw(Encoding.UTF8.GetBytes(type));
        json.Raw("\ndata: "u8);
        json.Raw(data[..^1]);
        json.Raw(",\"sequence_number\":"u8);
        json.Number(_sequence++);
        End(ref json);
    }
}
