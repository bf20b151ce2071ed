using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Dialects.Quirks;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>What the stream writer does with a provider's event.</summary>
internal static class ResponsesEventKind
{
    /// <summary>Forwarded with its item's id replaced.</summary>
    public const int Other = 0;

    /// <summary>Written by the gateway: created, queued, in_progress.</summary>
    public const int Lifecycle = 1;

    /// <summary>Contains a whole item.</summary>
    public const int Item = 2;

    /// <summary>Contains the finished response.</summary>
    public const int Terminal = 3;
}

/// <summary>Scans the events of a provider's Responses stream.</summary>
internal sealed class ResponsesStreamScanner(OutputMeter meter, MemoryLease? memory = null) : NativeStreamScanner
{
    private readonly ResponsesNormaliser _normaliser = new(meter, memory);

    public override IReadOnlyList<(byte[] Name, byte[] Data)>? Normalise(ReadOnlySpan<byte> eventName, ReadOnlySpan<byte> data) =>
        _normaliser.Normalise(eventName, data);

    public override (int Kind, NativeEventTraits Traits)? Scan(ReadOnlySpan<byte> eventName, ReadOnlySpan<byte> data,
        out UpstreamError? error)
    {
        error = null;
        data = data.Trim(" \t\r\n"u8);
        if (data.SequenceEqual("[DONE]"u8)) return (ResponsesEventKind.Other, NativeEventTraits.End);
        try
        {
            return ReadEvent(data, out error);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            if (eventName.SequenceEqual("error"u8)) error = new UpstreamError(null, null);
            else meter.SkippedEvents++;
            return null;
        }
    }

    private (int Kind, NativeEventTraits Traits)? ReadEvent(ReadOnlySpan<byte> data, out UpstreamError? error)
    {
        error = null;
        var check = new Utf8JsonReader(data, new JsonReaderOptions { MaxDepth = 512 });
        if (!check.Read() || check.TokenType != JsonTokenType.StartObject) throw new JsonException();
        check.Skip();
        switch (NativeChunk.Text(data, "type"u8))
        {
            case null:
                if (NativeChunk.Find(data, "error"u8, JsonTokenType.StartObject).IsEmpty) throw new JsonException();
                error = ErrorIn(data, "error");
                return null;
            case "error":
                error = ErrorIn(data, "error");
                return null;
            case "response.failed":
                error = ErrorIn(data, "response");
                return null;
            case "response.created" or "response.queued" or "response.in_progress":
                return (ResponsesEventKind.Lifecycle, NativeEventTraits.None);
            case "response.output_item.added":
                Digest("response.output_item.added", data);
                return (ResponsesEventKind.Item, NativeEventTraits.None);
            case "response.output_item.done":
                // An item without deltas (a call of a tool that the provider runs) is content too.
                Digest("response.output_item.done", data);
                return (ResponsesEventKind.Item, NativeEventTraits.Content);
            case "response.completed" or "response.incomplete":
                return Finished(data);
            // A general error object in a stream of events.
            case var type when !type.StartsWith("response.", StringComparison.Ordinal) && NativeChunk.Text(data, "object"u8) == "error":
                error = ErrorIn(data, "error");
                return null;
            case var type when type.EndsWith(".delta", StringComparison.Ordinal):
                var delta = NativeChunk.Find(data, "delta"u8, JsonTokenType.String);
                Digest(type, data, delta);
                var made = new OutputTally();
                // The base64 length of audio does not indicate its tokens.
                if (delta.Length > 2 && !type.EndsWith("audio.delta", StringComparison.Ordinal))
                {
                    var text = data.Slice(delta.Start + 1, delta.Length - 2);
                    made.Add(text, isEscaped: text.Contains((byte)'\\'), isArguments: type is "response.function_call_arguments.delta"
                        or "response.custom_tool_call_input.delta" or "response.mcp_call_arguments.delta");
                }
                meter.AddOutput(made);
                return (ResponsesEventKind.Other, NativeEventTraits.Content);
            case var type:
                Digest(type, data);
                return (ResponsesEventKind.Other, NativeEventTraits.None);
        }
    }

    private void Digest(string type, ReadOnlySpan<byte> data, ByteRange delta = default)
    {
        if (meter.Digest is { } digest) ResponsesDigest.Add(digest, type, data, delta);
    }

    private (int Kind, NativeEventTraits Traits) Finished(ReadOnlySpan<byte> data)
    {
        var reader = new Utf8JsonReader(data, new JsonReaderOptions { MaxDepth = 512 });
        using var document = JsonDocument.ParseValue(ref reader);
        if (!OpenAiWire.Has(document.RootElement, "response", JsonValueKind.Object, out var response)
            || !ResponsesResponseScanner.Scan(response, meter, countOutput: !meter.HasContent))
        {
            throw new JsonException();
        }
        return (ResponsesEventKind.Terminal, NativeEventTraits.Finish | NativeEventTraits.Usage | NativeEventTraits.End);
    }

    // Either nested or flat: both are in use.
    private static UpstreamError ErrorIn(ReadOnlySpan<byte> data, string member)
    {
        var reader = new Utf8JsonReader(data, new JsonReaderOptions { MaxDepth = 512 });
        using var document = JsonDocument.ParseValue(ref reader);
        var at = document.RootElement;
        if (OpenAiWire.Has(at, member, JsonValueKind.Object, out var inner)) at = inner;
        if (member == "response" && OpenAiWire.Has(at, "error", JsonValueKind.Object, out inner)) at = inner;
        var code = OpenAiWire.Text(at, "code") ?? (member == "error" ? OpenAiWire.Text(at, "type") : null);
        return new UpstreamError(code == "error" ? null : code, OpenAiWire.Text(at, "message"));
    }
}
