using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Dialects.Quirks;
using Fairlead.Pipeline;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>Reads usage, finish reason and content from a provider's whole native response without deserializing it.</summary>
internal static class MessagesResponseScanner
{
    /// <summary>False when the body is not a message of this dialect.</summary>
    public static bool Scan(ReadOnlySpan<byte> body, OutputMeter meter) => Scan(body, meter, out _);

    /// <param name="body">The body.</param>
    /// <param name="meter">Receives the result.</param>
    /// <param name="repaired">The body as Anthropic itself sends it; null when it is unchanged.</param>
    public static bool Scan(ReadOnlySpan<byte> body, OutputMeter meter, out byte[]? repaired)
    {
        repaired = MessagesNormaliser.RepairWhole(body, meter);
        if (repaired is not null) body = repaired;
        try
        {
            var json = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = 256 });
            if (!json.Read() || json.TokenType != JsonTokenType.StartObject) return false;
            UsageReport? usage = null;
            var (isMessage, hasContent) = (false, false);
            var (finish, isForeign, hasCalls, isEmpty) = (FinishMeaning.None, false, false, true);
            string? word = null;
            string? model = null;
            var output = new OutputTally();
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                var field = json.ValueTextEquals("content"u8) ? 1
                    : json.ValueTextEquals("usage"u8) ? 2
                    : json.ValueTextEquals("stop_reason"u8) ? 3
                    : json.ValueTextEquals("model"u8) ? 4 : json.ValueTextEquals("type"u8) ? 5 : 0;
                json.Read();
                switch (field)
                {
                    case 1 when json.TokenType == JsonTokenType.StartArray:
                        hasContent = true;
                        Content(body, ref json, ref output, out hasCalls, out isEmpty);
                        break;
                    case 2:
                        if (json.TokenType == JsonTokenType.StartObject) usage = UsageReport.Read(ref json);
                        else json.Skip();
                        break;
                    case 3 when json.TokenType == JsonTokenType.String:
                        finish = StopReasons.Read(json, out var isAnthropic);
                        isForeign = !isAnthropic;
                        if (finish == FinishMeaning.Failed) word = json.GetString();
                        break;
                    case 4 when json.TokenType == JsonTokenType.String && json.ValueSpan.Length <= 256:
                        model = json.GetString();
                        break;
                    case 5 when json.TokenType == JsonTokenType.String:
                        isMessage = json.ValueTextEquals("message"u8);
                        break;
                    default:
                        json.Skip();
                        break;
                }
            }
            json.Read();
            if (!isMessage || !hasContent) return false;
            // Claude may end its turn without content and still count tokens. A body without either is not a response.
            if (isEmpty && usage?[UsageMember.Output] is not > 0) return false;
            if (finish == FinishMeaning.Failed) meter.FailedReason = word;
            var fitting = MessagesNormaliser.Fit(finish, hasCalls);
            if (FinishReasonTable.ToReason(fitting) is not { } reason) return false;
            if (fitting != finish || isForeign) repaired = MessagesNormaliser.WithReason(body, fitting);
            if (model is not null) meter.UpstreamModel = model;
            if (output.Bytes > 0) meter.AddOutput(output);
            if (usage is not null) meter.ReportUsage(usage);
            meter.Finish(reason, 0);
            return true;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            return false;
        }
    }

    /// <summary>Position of the model's name in a response, and whether the object has other members; empty when there is none.</summary>
    public static ByteRange FindModel(ReadOnlySpan<byte> body)
    {
        var json = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = 256 });
        json.Read();
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            var isModel = json.ValueTextEquals("model"u8);
            json.Read();
            if (isModel && json.TokenType == JsonTokenType.String)
            {
                return new ByteRange((int)json.TokenStartIndex, (int)(json.BytesConsumed - json.TokenStartIndex));
            }
            json.Skip();
        }
        return default;
    }

    // Size of the whole output: the estimate where usage is missing.
    private static void Content(ReadOnlySpan<byte> body, ref Utf8JsonReader json, ref OutputTally output, out bool hasCalls,
        out bool isEmpty)
    {
        (hasCalls, isEmpty) = (false, true);
        var depth = json.CurrentDepth;
        while (json.Read() && json.CurrentDepth > depth)
        {
            isEmpty = false;
            if (json.TokenType != JsonTokenType.PropertyName || json.CurrentDepth != depth + 2) continue;
            var isText = json.ValueTextEquals("text"u8) || json.ValueTextEquals("thinking"u8) || json.ValueTextEquals("name"u8);
            var isInput = !isText && json.ValueTextEquals("input"u8);
            var isType = !isText && !isInput && json.ValueTextEquals("type"u8);
            json.Read();
            hasCalls |= isType && json.TokenType == JsonTokenType.String && json.ValueTextEquals("tool_use"u8);
            var start = (int)json.TokenStartIndex;
            if (isText && json.TokenType == JsonTokenType.String) output.Add(json.ValueSpan, json.ValueIsEscaped, isArguments: false);
            json.Skip();
            if (isInput) output.Add(body[start..(int)json.BytesConsumed], isEscaped: false, isArguments: true);
        }
    }
}
