using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Dialects.Quirks;
using Fairlead.Streaming;
using Fairlead.Streaming.Verification;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>
/// Scans OpenAI's responses, whole or in chunks, for what the stages need: usage, finish reasons, amount of output. Text completions have
/// the same frame. Reports nothing to the meter before the whole text has proved to be JSON.
/// </summary>
internal static class OpenAiResponseScanner
{
    /// <summary>The content of one body or chunk.</summary>
    internal struct Found
    {
        public bool IsError;
        public string? ErrorType;
        public string? ErrorMessage;
        public bool HasChoices;

        /// <summary>A single choice instead of a list of them.</summary>
        public bool HasSingleChoice;
        public int Choices;
        public bool HasContent;
        public OutputTally Output;

        /// <summary>Where the output is.</summary>
        public ChunkPieces Pieces;

        /// <summary>Output that another run cannot be compared with.</summary>
        public bool IsIncomparable;
        public UsageReport? Usage;
        public string? ServiceTier;
        public string? Model;
        public (int Choice, FinishReason Reason)? Finished;
        public List<(int Choice, FinishReason Reason)>? MoreFinished;
        public List<double>? Logprobs;

        /// <summary>A provider's finish reason that means a failure.</summary>
        public string? FailedReason;

        /// <summary>Something that OpenAI itself never sends: the normaliser must process it.</summary>
        public bool HasQuirk;

        /// <summary>A choice has neither a message nor a text.</summary>
        public bool LacksBody;
        public bool HasMessage;
        public bool HasDelta;

        /// <summary>Of the last choice.</summary>
        public int Choice;
        public bool HasRole;
        public int Calls;
        public int CallIndex;
        public string? CallId;
        public bool CallHasName;
        public string? CallName;
        public bool CallHasType;
        public bool HasLegacyCall;
        public bool HasId;
        public bool HasObject;
        public bool HasCreated;
        public bool HasModel;
        public int IdStart;
        public int IdLength;

        public readonly bool HasEnvelope => HasId && HasObject && HasCreated && HasModel;

        public readonly bool Finishes => Finished is not null;

        public readonly bool HasUsage => Usage is not null;

        public readonly NativeEventTraits Traits =>
            (HasContent ? NativeEventTraits.Content : 0)
            | (Finishes ? NativeEventTraits.Finish : 0)
            | (HasUsage ? NativeEventTraits.Usage : 0)
            | (HasUsage && Choices == 0 ? NativeEventTraits.OnlyUsage : 0);

        public readonly void Report(OutputMeter meter)
        {
            if (Model is not null) meter.UpstreamModel ??= Model;
            if (HasContent) meter.AddOutput(Output);
            if (Usage is not null) meter.ReportUsage(Usage);
            meter.ReportTier(ServiceTier);
            if (Finished is { } first) meter.Finish(first.Reason, first.Choice);
            foreach (var (choice, reason) in MoreFinished ?? []) meter.Finish(reason, choice);
            if (Logprobs is null) return;
            foreach (var logprob in Logprobs) meter.AddLogprob(logprob);
        }
    }

    /// <summary>False when the text is not one JSON object.</summary>
    /// <param name="json">The body or the data of one event.</param>
    /// <param name="wantModel">Whether the model's name is still needed.</param>
    /// <param name="found">Its content.</param>
    public static bool TryScan(ReadOnlySpan<byte> json, bool wantModel, out Found found)
    {
        found = default;
        try
        {
            var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 512 });
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) return false;
            Root(ref reader, wantModel, ref found);
            // Text after the object makes it invalid JSON.
            return !reader.Read();
        }
        catch (JsonException)
        {
            return false;
        }
        catch (InvalidOperationException)
        {
            // A name or message with half a surrogate pair or broken UTF-8.
            return false;
        }
    }

    private static void Root(ref Utf8JsonReader reader, bool wantModel, ref Found found)
    {
        string? topMessage = null;
        var isErrorObject = false;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            switch (reader.ValueSpan.Length)
            {
                case 7 when reader.ValueTextEquals("choices"u8):
                    reader.Read();
                    if (reader.TokenType == JsonTokenType.StartArray)
                    {
                        Choices(ref reader, ref found);
                    }
                    else
                    {
                        found.HasQuirk = true;
                        found.HasSingleChoice = reader.TokenType == JsonTokenType.StartObject;
                        reader.Skip();
                    }
                    break;
                case 5 when reader.ValueTextEquals("usage"u8):
                    reader.Read();
                    ReadUsage(ref reader, ref found);
                    break;
                // Groq's own member, Gemini's name and Ollama's own counts.
                case 6 when reader.ValueTextEquals("x_groq"u8):
                    reader.Read();
                    if (reader.TokenType == JsonTokenType.StartObject) InnerUsage(ref reader, ref found);
                    else reader.Skip();
                    break;
                case 13 when reader.ValueTextEquals("usageMetadata"u8):
                    reader.Read();
                    ReadUsage(ref reader, ref found);
                    break;
                case 17 when reader.ValueTextEquals("prompt_eval_count"u8):
                    reader.Read();
                    AddUsage(UsageReport.Of(UsageMember.Input, ref reader), ref found);
                    break;
                case 10 when reader.ValueTextEquals("eval_count"u8):
                    reader.Read();
                    AddUsage(UsageReport.Of(UsageMember.Output, ref reader), ref found);
                    break;
                case 5 when reader.ValueTextEquals("model"u8):
                    reader.Read();
                    found.HasModel = reader.TokenType == JsonTokenType.String && !reader.ValueSpan.IsEmpty;
                    if (wantModel && reader.TokenType == JsonTokenType.String) found.Model = reader.GetString();
                    else reader.Skip();
                    break;
                case 2 when reader.ValueTextEquals("id"u8):
                    reader.Read();
                    found.HasId = reader.TokenType == JsonTokenType.String && !reader.ValueSpan.IsEmpty;
                    (found.IdStart, found.IdLength) = ((int)reader.TokenStartIndex, found.HasId ? reader.ValueSpan.Length + 2 : 0);
                    reader.Skip();
                    break;
                case 12 when reader.ValueTextEquals("service_tier"u8):
                    reader.Read();
                    found.ServiceTier = ServiceTierName.Read(reader);
                    reader.Skip();
                    break;
                case 7 when reader.ValueTextEquals("created"u8):
                    reader.Read();
                    found.HasCreated = reader.TokenType == JsonTokenType.Number && reader.TryGetInt64(out _);
                    reader.Skip();
                    break;
                case 5 when reader.ValueTextEquals("error"u8):
                    reader.Read();
                    Error(ref reader, ref found);
                    break;
                case 6 when reader.ValueTextEquals("object"u8):
                    reader.Read();
                    // Older vLLM: {"object":"error","message":…}.
                    isErrorObject = reader.TokenType == JsonTokenType.String && reader.ValueTextEquals("error"u8);
                    found.HasObject = reader.TokenType == JsonTokenType.String && !reader.ValueSpan.IsEmpty;
                    reader.Skip();
                    break;
                case 7 when reader.ValueTextEquals("message"u8):
                    reader.Read();
                    if (reader.TokenType == JsonTokenType.String) topMessage = reader.GetString();
                    else reader.Skip();
                    break;
                default:
                    reader.Read();
                    reader.Skip();
                    break;
            }
        }
        if (isErrorObject && !found.IsError)
        {
            found.IsError = true;
            found.ErrorMessage = topMessage;
        }
    }

    private static void Choices(ref Utf8JsonReader reader, ref Found found)
    {
        found.HasChoices = true;
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            // By its position if the server leaves the index out.
            var index = found.Choices++;
            FinishReason? finish = null;
            var (hasIndex, isWhole, hasBody, hasReason) = (false, false, false, false);
            var (callsBefore, legacyBefore, piecesBefore) = (found.Calls, found.HasLegacyCall, found.Pieces.Count);
            found.HasRole = false;
            if (reader.TokenType != JsonTokenType.StartObject)
            {
                found.HasQuirk = true;
                reader.Skip();
                continue;
            }
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                if (reader.ValueTextEquals("delta"u8) || reader.ValueTextEquals("message"u8))
                {
                    isWhole |= reader.ValueSpan[0] == (byte)'m';
                    found.HasMessage |= isWhole;
                    found.HasDelta |= !isWhole;
                    reader.Read();
                    hasBody |= reader.TokenType == JsonTokenType.StartObject;
                    if (reader.TokenType == JsonTokenType.StartObject) Delta(ref reader, isWhole, ref found);
                    else reader.Skip();
                }
                else if (reader.ValueTextEquals("finish_reason"u8))
                {
                    reader.Read();
                    hasReason = true;
                    if (reader.TokenType == JsonTokenType.String)
                    {
                        finish = Finish(ref reader, ref found);
                    }
                    else
                    {
                        found.HasQuirk |= reader.TokenType != JsonTokenType.Null;
                        reader.Skip();
                    }
                }
                else if (reader.ValueTextEquals("index"u8))
                {
                    reader.Read();
                    hasIndex = reader.TokenType == JsonTokenType.Number && reader.TryGetInt32(out var number) && number is >= 0 and < 128;
                    if (hasIndex) index = reader.GetInt32();
                    else reader.Skip();
                }
                else if (reader.ValueTextEquals("text"u8))
                {
                    reader.Read();
                    hasBody |= reader.TokenType == JsonTokenType.String;
                    Text(ref reader, ref found, DigestPart.Text);
                }
                else if (reader.ValueTextEquals("logprobs"u8))
                {
                    reader.Read();
                    if (reader.TokenType == JsonTokenType.StartObject) Logprobs(ref reader, ref found);
                    else reader.Skip();
                }
                else if (reader.ValueTextEquals("usage"u8))
                {
                    // Moonshot's member for it.
                    reader.Read();
                    ReadUsage(ref reader, ref found);
                }
                else
                {
                    reader.Read();
                    reader.Skip();
                }
            }
            found.Choice = index;
            found.Pieces.SetChoice(piecesBefore, index);
            found.HasQuirk |= !hasIndex || !hasBody;
            found.LacksBody |= !hasBody;
            // In a whole body the end is known; in a stream the normaliser knows what came before.
            if (isWhole)
            {
                var called = found.Calls > callsBefore || found.HasLegacyCall != legacyBefore;
                found.HasQuirk |= !hasReason || finish is null || !found.HasRole || (finish == FinishReason.ToolCalls && !called)
                    || (finish == FinishReason.Stop && called);
            }
            if (finish is not { } reason) continue;
            if (found.Finished is null) found.Finished = (index, reason);
            else (found.MoreFinished ??= []).Add((index, reason));
        }
    }

    private static void Delta(ref Utf8JsonReader reader, bool isWhole, ref Found found)
    {
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("content"u8)
                || reader.ValueTextEquals("reasoning_content"u8)
                || reader.ValueTextEquals("reasoning"u8)
                || reader.ValueTextEquals("refusal"u8))
            {
                var part = PartOf(reader.ValueSpan);
                reader.Read();
                found.HasQuirk |= reader.TokenType is not (JsonTokenType.String or JsonTokenType.Null);
                if (reader.TokenType == JsonTokenType.String) Text(ref reader, ref found, part);
                else if (reader.TokenType == JsonTokenType.StartArray) Parts(ref reader, ref found);
                else reader.Skip();
            }
            else if (reader.ValueTextEquals("role"u8))
            {
                reader.Read();
                found.HasRole = reader.TokenType == JsonTokenType.String && reader.ValueTextEquals("assistant"u8);
                found.HasQuirk |= reader.TokenType != JsonTokenType.Null && !found.HasRole;
                reader.Skip();
            }
            else if (reader.ValueTextEquals("tool_calls"u8))
            {
                reader.Read();
                if (reader.TokenType != JsonTokenType.StartArray)
                {
                    found.HasQuirk |= reader.TokenType != JsonTokenType.Null;
                    found.HasContent |= reader.TokenType == JsonTokenType.StartObject;
                    reader.Skip();
                    continue;
                }
                while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
                {
                    if (reader.TokenType == JsonTokenType.StartObject)
                    {
                        ToolCall(ref reader, isWhole, ref found);
                    }
                    else
                    {
                        found.HasQuirk = true;
                        reader.Skip();
                    }
                }
            }
            else if (reader.ValueTextEquals("function_call"u8))
            {
                reader.Read();
                if (reader.TokenType == JsonTokenType.StartObject)
                {
                    found.HasLegacyCall = true;
                    var before = found.Pieces.Count;
                    _ = Call(ref reader, ref found);
                    found.Pieces.SetIndex(before, -1);
                }
                else
                {
                    reader.Skip();
                }
            }
            else if (reader.ValueTextEquals("audio"u8))
            {
                reader.Read();
                found.HasContent |= reader.TokenType == JsonTokenType.StartObject;
                found.IsIncomparable |= reader.TokenType == JsonTokenType.StartObject;
                reader.Skip();
            }
            else
            {
                reader.Read();
                var start = reader.TokenStartIndex;
                var isNull = reader.TokenType == JsonTokenType.Null;
                reader.Skip();
                // Annotations and additions of a server; an empty one says nothing.
                found.IsIncomparable |= !isNull && reader.BytesConsumed - start > 2;
            }
        }
    }

    // By the length of its name: the members of text that OpenAI and its relatives have.
    private static DigestPart PartOf(ReadOnlySpan<byte> name) => name.Length switch
    {
        17 => DigestPart.Reasoning,
        9 => DigestPart.ReasoningCopy,
        7 when name[0] == (byte)'r' => DigestPart.Refusal,
        _ => DigestPart.Text,
    };

    private static void Text(ref Utf8JsonReader reader, ref Found found, DigestPart part, bool isArguments = false)
    {
        if (reader.TokenType != JsonTokenType.String)
        {
            reader.Skip();
            return;
        }
        if (reader.ValueSpan.IsEmpty) return;
        found.HasContent = true;
        found.Output.Add(reader.ValueSpan, reader.ValueIsEscaped, isArguments);
        found.Pieces.Add(new ChunkPiece(part, (int)reader.TokenStartIndex + 1, reader.ValueSpan.Length));
    }

    // Mistral's reasoning models respond with a list of parts.
    private static void Parts(ref Utf8JsonReader reader, ref Found found)
    {
        var depth = reader.CurrentDepth;
        while (reader.Read() && reader.CurrentDepth > depth)
        {
            if (reader.TokenType != JsonTokenType.PropertyName || !reader.ValueTextEquals("text"u8)) continue;
            reader.Read();
            Text(ref reader, ref found, DigestPart.Text);
        }
    }

    private static void ToolCall(ref Utf8JsonReader reader, bool isWhole, ref Found found)
    {
        found.HasContent = true;
        found.Calls++;
        (found.CallIndex, found.CallId, found.CallHasName, found.CallName, found.CallHasType) = (-1, null, false, null, false);
        var hasBody = false;
        var piecesBefore = found.Pieces.Count;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("function"u8) || reader.ValueTextEquals("custom"u8))
            {
                reader.Read();
                if (reader.TokenType == JsonTokenType.StartObject)
                {
                    hasBody = true;
                    found.CallHasName = Call(ref reader, ref found, keepsName: !isWhole);
                }
                else
                {
                    reader.Skip();
                }
            }
            else if (reader.ValueTextEquals("index"u8))
            {
                reader.Read();
                if (reader.TokenType == JsonTokenType.Number && reader.TryGetInt32(out var index)) found.CallIndex = index;
                reader.Skip();
            }
            else if (reader.ValueTextEquals("id"u8))
            {
                reader.Read();
                found.HasQuirk |= reader.TokenType is not (JsonTokenType.String or JsonTokenType.Null);
                if (reader.TokenType == JsonTokenType.String && !reader.ValueSpan.IsEmpty) found.CallId = reader.GetString();
                else reader.Skip();
            }
            else
            {
                var isType = reader.ValueTextEquals("type"u8);
                reader.Read();
                if (isType) found.CallHasType = reader.TokenType == JsonTokenType.String && !reader.ValueSpan.IsEmpty;
                reader.Skip();
            }
        }
        found.Pieces.SetIndex(piecesBefore, found.CallIndex);
        found.HasQuirk |= !hasBody || (isWhole && !(found.CallId is not null && found.CallHasName && found.CallHasType));
    }

    // Whether it has a name.
    private static bool Call(ref Utf8JsonReader reader, ref Found found, bool keepsName = false)
    {
        found.HasContent = true;
        var named = false;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var isName = reader.ValueTextEquals("name"u8);
            var counts = isName || reader.ValueTextEquals("arguments"u8) || reader.ValueTextEquals("input"u8);
            reader.Read();
            if (!counts)
            {
                reader.Skip();
                continue;
            }
            if (isName) named = reader.TokenType == JsonTokenType.String && !reader.ValueSpan.IsEmpty;
            else found.HasQuirk |= reader.TokenType != JsonTokenType.String;
            if (isName && named && keepsName) found.CallName = reader.GetString();
            Text(ref reader, ref found, isName ? DigestPart.ToolCall : DigestPart.ToolArguments, isArguments: true);
        }
        return named;
    }

    private static FinishReason? Finish(ref Utf8JsonReader reader, ref Found found)
    {
        var meaning = FinishReasonTable.Of(reader, out var isOpenAi);
        found.HasQuirk |= !isOpenAi;
        // The provider stopped before the end: a failure that looks like a finish.
        if (meaning == FinishMeaning.Failed) found.FailedReason = reader.GetString();
        return FinishReasonTable.ToReason(meaning);
    }

    private static void Logprobs(ref Utf8JsonReader reader, ref Found found)
    {
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var entries = reader.ValueTextEquals("content"u8) || reader.ValueTextEquals("refusal"u8);
            var numbers = reader.ValueTextEquals("token_logprobs"u8);
            reader.Read();
            if (reader.TokenType != JsonTokenType.StartArray || !(entries || numbers))
            {
                reader.Skip();
                continue;
            }
            while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
            {
                if (numbers)
                {
                    Logprob(ref reader, ref found);
                    continue;
                }
                if (reader.TokenType != JsonTokenType.StartObject)
                {
                    reader.Skip();
                    continue;
                }
                while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
                {
                    var value = reader.ValueTextEquals("logprob"u8);
                    reader.Read();
                    if (value) Logprob(ref reader, ref found);
                    else reader.Skip();
                }
            }
        }
    }

    private static void Logprob(ref Utf8JsonReader reader, ref Found found)
    {
        if (reader.TokenType == JsonTokenType.Number && reader.TryGetDouble(out var logprob) && double.IsFinite(logprob))
        {
            (found.Logprobs ??= []).Add(logprob);
        }
        else reader.Skip();
    }

    private static void ReadUsage(ref Utf8JsonReader reader, ref Found found)
    {
        if (reader.TokenType == JsonTokenType.StartObject) AddUsage(UsageReport.Read(ref reader), ref found);
        else reader.Skip();
    }

    private static void AddUsage(UsageReport? report, ref Found found)
    {
        if (report is not null) found.Usage = found.Usage is null ? report : found.Usage.Then(report);
    }

    private static void InnerUsage(ref Utf8JsonReader reader, ref Found found)
    {
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var isUsage = reader.ValueTextEquals("usage"u8);
            reader.Read();
            if (isUsage) ReadUsage(ref reader, ref found);
            else reader.Skip();
        }
    }

    private static void Error(ref Utf8JsonReader reader, ref Found found)
    {
        if (reader.TokenType == JsonTokenType.String)
        {
            found.IsError = true;
            found.ErrorMessage = reader.GetString();
            return;
        }
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            reader.Skip();
            return;
        }
        found.IsError = true;
        string? type = null, code = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var (isMessage, isType, isCode) = (reader.ValueTextEquals("message"u8), reader.ValueTextEquals("type"u8),
                reader.ValueTextEquals("code"u8));
            reader.Read();
            if (reader.TokenType == JsonTokenType.String && isMessage) found.ErrorMessage = reader.GetString();
            else if (reader.TokenType == JsonTokenType.String && isType) type = reader.GetString();
            else if (reader.TokenType == JsonTokenType.String && isCode) code = reader.GetString();
            else if (reader.TokenType == JsonTokenType.Number && isCode) code = System.Text.Encoding.ASCII.GetString(reader.ValueSpan);
            else reader.Skip();
        }
        found.ErrorType = code ?? type;
    }
}
