using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Dialects.Quirks;
using Fairlead.Streaming;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>Finds usage, stop reason, model and content in a provider's native events.</summary>
internal sealed class MessagesStreamScanner(OutputMeter meter) : NativeStreamScanner
{
    private const int MaxErrorTextLength = 2048;
    private readonly MessagesStreamNormaliser _normaliser = new(meter);
    private bool _hasCalls;

    public override IReadOnlyList<(byte[] Name, byte[] Data)>? Normalise(ReadOnlySpan<byte> eventName, ReadOnlySpan<byte> data) =>
        _normaliser.Normalise(eventName, data);

    public override (int Kind, NativeEventTraits Traits)? Scan(ReadOnlySpan<byte> eventName, ReadOnlySpan<byte> data,
        out UpstreamError? error)
    {
        error = null;
        Repaired = null;
        try
        {
            var json = new Utf8JsonReader(data, new JsonReaderOptions { MaxDepth = 256 });
            if (json.Read() && json.TokenType == JsonTokenType.StartObject) return ScanObject(ref json, eventName, data, out error);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // Counted below: one malformed event does not end the stream.
        }
        meter.SkippedEvents++;
        return null;
    }

    private (int, NativeEventTraits)? ScanObject(ref Utf8JsonReader json, ReadOnlySpan<byte> eventName, ReadOnlySpan<byte> data,
        out UpstreamError? error)
    {
        var seen = new Seen();
        var kind = MessagesEventKind.Of(eventName);
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            if (json.ValueTextEquals("type"u8))
            {
                json.Read();
                // The name on the event line is optional; some relays leave it out.
                if (json.TokenType == JsonTokenType.String) kind = MessagesEventKind.Of(json.ValueSpan);
            }
            else if (json.ValueTextEquals("delta"u8) || json.ValueTextEquals("content_block"u8))
            {
                json.Read();
                ReadPiece(ref json, data, ref seen);
            }
            else if (json.ValueTextEquals("message"u8))
            {
                json.Read();
                ReadMessage(ref json, ref seen);
            }
            else if (json.ValueTextEquals("usage"u8))
            {
                json.Read();
                if (json.TokenType == JsonTokenType.StartObject) seen.Usage = UsageReport.Read(ref json);
                else json.Skip();
            }
            else if (json.ValueTextEquals("error"u8))
            {
                json.Read();
                ReadError(ref json, ref seen);
            }
            else
            {
                json.Read();
                json.Skip();
            }
        }
        // A second document in one event is malformed.
        if (json.Read()) throw new JsonException();
        if (meter.Digest is { } digest && kind is not MessagesEventKind.Ping)
            {
            MessagesDigest.Add(digest, kind, seen.Type, seen.Name, seen.Text);
            // Arguments that are not text.
            if (seen.HasInput) digest.Exclude();
        }
        error = kind == MessagesEventKind.Error ? new UpstreamError(seen.ErrorType, seen.ErrorMessage) : null;
        if (kind == MessagesEventKind.MessageDelta && seen.StopReason is not FinishMeaning.None)
        {
            var fitting = MessagesNormaliser.Fit(seen.StopReason, _hasCalls);
            if (fitting == FinishMeaning.Failed) meter.FailedReason = seen.UnknownStopReason;
            if (fitting != seen.StopReason || seen.IsUnlistedReason) Repaired = MessagesNormaliser.WithReason(data, fitting);
            seen.StopReason = fitting;
        }
        return (kind, TraitsOf(kind, seen));
    }

    private NativeEventTraits TraitsOf(int kind, in Seen seen)
    {
        var traits = NativeEventTraits.None;
        switch (kind)
        {
            case MessagesEventKind.Ping: return NativeEventTraits.Ping;
            case MessagesEventKind.MessageStop: return NativeEventTraits.End;
            case MessagesEventKind.BlockStart or MessagesEventKind.BlockDelta:
                if (seen.Output.Bytes > 0 || seen.IsContent)
                {
                    meter.AddOutput(seen.Output);
                    traits |= NativeEventTraits.Content;
                }
                break;
            case MessagesEventKind.MessageDelta when FinishReasonTable.ToReason(seen.StopReason) is { } reason:
                meter.Finish(reason, 0);
                traits |= NativeEventTraits.Finish;
                break;
            case MessagesEventKind.MessageStart:
                if (seen.Model is not null) meter.UpstreamModel = seen.Model;
                break;
        }
        if (seen.Usage is { } usage && kind is MessagesEventKind.MessageStart or MessagesEventKind.MessageDelta)
        {
            // A message that starts has received its input, and its output is still empty.
            meter.ReportUsage(kind == MessagesEventKind.MessageStart ? usage.AtStart() : usage);
            traits |= NativeEventTraits.Usage;
        }
        return traits;
    }

    // A delta, or a block that starts.
    private void ReadPiece(ref Utf8JsonReader json, ReadOnlySpan<byte> data, ref Seen seen)
    {
        if (json.TokenType != JsonTokenType.StartObject)
        {
            json.Skip();
            return;
        }
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            var isArguments = json.ValueTextEquals("partial_json"u8);
            var isName = !isArguments && json.ValueTextEquals("name"u8);
            var isOutput = isArguments || isName || json.ValueTextEquals("text"u8) || json.ValueTextEquals("thinking"u8);
            var isData = !isOutput && json.ValueTextEquals("data"u8);
            var isType = !isOutput && !isData && json.ValueTextEquals("type"u8);
            var isStop = !isOutput && !isData && !isType && json.ValueTextEquals("stop_reason"u8);
            var isInput = !isOutput && !isData && !isType && !isStop && json.ValueTextEquals("input"u8);
            json.Read();
            if (json.TokenType != JsonTokenType.String)
            {
                var inside = json;
                seen.HasInput |= isInput && json.TokenType == JsonTokenType.StartObject && inside.Read()
                    && inside.TokenType != JsonTokenType.EndObject;
                json.Skip();
            }
            else if (isOutput)
            {
                seen.Output.Add(json.ValueSpan, json.ValueIsEscaped, isArguments);
                var value = data.Slice((int)json.TokenStartIndex + 1, json.ValueSpan.Length);
                if (isName) seen.Name = value;
                else seen.Text = value;
            }
            else if (isData)
            {
                // Encrypted thinking: its length does not indicate its tokens.
                seen.IsContent = true;
            }
            else if (isType)
            {
                seen.Type = data.Slice((int)json.TokenStartIndex + 1, json.ValueSpan.Length);
                var isCall = json.ValueTextEquals("tool_use"u8);
                _hasCalls |= isCall;
                seen.IsContent |= isCall || json.ValueTextEquals("server_tool_use"u8);
            }
            else if (isStop)
            {
                seen.StopReason = StopReasons.Read(json, out var isAnthropic);
                seen.IsUnlistedReason = !isAnthropic;
                if (seen.StopReason == FinishMeaning.Failed) seen.UnknownStopReason = json.GetString();
            }
        }
    }

    private static void ReadMessage(ref Utf8JsonReader json, ref Seen seen)
    {
        if (json.TokenType != JsonTokenType.StartObject)
        {
            json.Skip();
            return;
        }
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            var isModel = json.ValueTextEquals("model"u8);
            var isUsage = !isModel && json.ValueTextEquals("usage"u8);
            json.Read();
            if (isModel && json.TokenType == JsonTokenType.String && json.ValueSpan.Length <= 256)
            {
                seen.Model = json.GetString();
            }
            else if (isUsage)
            {
                if (json.TokenType == JsonTokenType.StartObject) seen.Usage = UsageReport.Read(ref json);
                else json.Skip();
            }
            else
            {
                json.Skip();
            }
        }
    }

    private static void ReadError(ref Utf8JsonReader json, ref Seen seen)
    {
        if (json.TokenType != JsonTokenType.StartObject)
        {
            json.Skip();
            return;
        }
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            var isType = json.ValueTextEquals("type"u8);
            var isMessage = !isType && json.ValueTextEquals("message"u8);
            json.Read();
            if (json.TokenType != JsonTokenType.String || json.ValueSpan.Length > MaxErrorTextLength) json.Skip();
            else if (isType) seen.ErrorType = json.GetString();
            else if (isMessage) seen.ErrorMessage = json.GetString();
        }
    }

    private ref struct Seen
    {
        public OutputTally Output;
        public ReadOnlySpan<byte> Type;
        public ReadOnlySpan<byte> Name;
        public ReadOnlySpan<byte> Text;
        public bool IsContent;
        public bool HasInput;
        public UsageReport? Usage;
        public FinishMeaning StopReason;
        public bool IsUnlistedReason;
        public string? UnknownStopReason;
        public string? Model;
        public string? ErrorType;
        public string? ErrorMessage;
    }
}
