using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Dialects.Quirks;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Providers.Http;
using Fairlead.TokenCounting;

namespace Fairlead.Providers.Gemini;

/// <summary>
/// Reads <c>GenerateContentResponse</c> into events: the whole body of a sync call, or each event of a stream (which has the same form).
/// Keeps state between events. One per attempt; not thread-safe.
/// </summary>
internal sealed class GeminiResponseReader
{
    /// <summary>The API returns at most eight; more would be an invalid response.</summary>
    private const int MaxCandidates = 128;

    private readonly OutputMeter _meter;
    private readonly Action<string, string> _warn;
    private readonly Func<string> _newCallId;
    private readonly bool _blockIsError;
    private readonly CandidateState?[] _candidates;
    private bool _started;
    private int _finished;

    /// <param name="choiceCount">Number of requested choices.</param>
    /// <param name="meter">Receives the model's name; usage and finish reasons are events.</param>
    /// <param name="warn">Receives code and text of each warning.</param>
    /// <param name="newCallId">Creates ids for calls without one.</param>
    /// <param name="blockIsError">
    /// Whether a prompt that the provider blocks is an error, so that another deployment can take over, and not a filtered response.
    /// </param>
    public GeminiResponseReader(
        int choiceCount, OutputMeter meter, Action<string, string> warn, Func<string> newCallId, bool blockIsError = false)
    {
        _blockIsError = blockIsError;
        _meter = meter;
        _warn = warn;
        _newCallId = newCallId;
        _candidates = new CandidateState?[Math.Clamp(choiceCount, 1, MaxCandidates)];
    }

    /// <summary>Whether any choice has ended; the API may return fewer candidates than requested.</summary>
    public bool AnyFinished => _finished > 0;

    /// <summary>Whether a choice has started and not ended.</summary>
    public bool HasOpenChoice => Array.Exists(_candidates, c => c is { Finished: false });

    /// <summary>Reads one response. False when it is not one.</summary>
    /// <param name="data">One JSON object.</param>
    /// <param name="events">Receives the events, in order.</param>
    /// <param name="failure">Set when the response is well-formed but cannot be used.</param>
    public bool TryRead(ReadOnlySpan<byte> data, ICollection<GenerationEvent> events, out GatewayError? failure)
    {
        failure = null;
        try
        {
            var reader = new Utf8JsonReader(data, new JsonReaderOptions { MaxDepth = 512 });
            using var document = JsonDocument.ParseValue(ref reader);
            var root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object
                || (root.TryGetProperty("error", out var error) && error.ValueKind != JsonValueKind.Null))
            {
                return false;
            }
            failure = Read(root, events);
            return true;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or KeyNotFoundException)
        {
            // Values of the wrong type, or strings that are not text: not a response of this API.
            return false;
        }
    }

    private GatewayError? Read(JsonElement root, ICollection<GenerationEvent> events)
    {
        if (TextOf(root, "modelVersion") is { } version) _meter.UpstreamModel = version;
        if (!_started)
        {
            _started = true;
            events.Add(new ResponseStarted());
        }
        GatewayError? failure = null;
        var any = false;
        if (root.TryGetProperty("candidates", out var candidates))
        {
            foreach (var candidate in ListOf(candidates))
            {
                if (candidate.ValueKind != JsonValueKind.Object) continue;
                any = true;
                failure ??= ReadCandidate(candidate, events);
            }
        }
        if (!any && root.TryGetProperty("promptFeedback", out var feedback) && feedback.ValueKind == JsonValueKind.Object
            && feedback.TryGetProperty("blockReason", out _))
        {
            if (_blockIsError && !Array.Exists(_candidates, candidate => candidate is not null))
            {
                failure = UpstreamErrors.ToError(UpstreamErrorKind.ContentPolicy, null, null);
            }
            else
            {
                for (var i = 0; i < _candidates.Length; i++) Finish(i, FinishMeaning.ContentFilter, events);
            }
        }
        ReadUsage(root, isLast: _finished > 0 || failure is not null, events);
        return failure;
    }

    private GatewayError? ReadCandidate(JsonElement candidate, ICollection<GenerationEvent> events)
    {
        var index = candidate.TryGetProperty("index", out var number) ? IndexOf(number) : 0;
        if ((uint)index >= (uint)_candidates.Length) return null;
        var state = _candidates[index] ??= new CandidateState();

        var logprobs = ReadLogprobs(candidate);
        if (candidate.TryGetProperty("content", out var content) && content.ValueKind == JsonValueKind.Object
            && content.TryGetProperty("parts", out var parts))
        {
            foreach (var part in ListOf(parts)) ReadPart(part, index, state, ref logprobs, events);
        }
        // Log probabilities of an event with empty text still belong to the response.
        if (logprobs is not null) events.Add(new TextDelta("") { Choice = index, Logprobs = logprobs });
        return candidate.TryGetProperty("finishReason", out var reason) && reason.ValueKind == JsonValueKind.String
            && reason.GetString() is { Length: > 0 } word
            ? ReadFinish(word, index, state, events)
            : null;
    }

    /// <summary>A whole response is complete without a reason: its choices have ended.</summary>
    public void EndWhole(ICollection<GenerationEvent> events)
    {
        for (var i = 0; i < _candidates.Length; i++)
        {
            if (_candidates[i] is { HasContent: true, Finished: false } state)
            {
                Finish(i, state.Calls > 0 ? FinishMeaning.ToolCalls : FinishMeaning.Stop, events);
            }
        }
    }

    // One instead of a list, and null instead of nothing.
    private static IEnumerable<JsonElement> ListOf(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Array => element.EnumerateArray(),
        JsonValueKind.Null => [],
        _ => [element],
    };

    private static int IndexOf(JsonElement number) =>
        number.ValueKind == JsonValueKind.Number && number.TryGetInt32(out var index) ? index
        : number.ValueKind == JsonValueKind.String
            && int.TryParse(number.GetString(), System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture,
                out var told) ? told : 0;

    private void ReadPart(JsonElement part, int index, CandidateState state, ref List<TokenLogprob>? logprobs,
        ICollection<GenerationEvent> events)
    {
        if (part.ValueKind == JsonValueKind.String)
        {
            if (part.GetString() is not { Length: > 0 } bare) return;
            state.HasContent = true;
            events.Add(new TextDelta(bare) { Choice = index, Logprobs = logprobs });
            logprobs = null;
            return;
        }
        if (part.ValueKind != JsonValueKind.Object) return;
        if (part.TryGetProperty("text", out var text) && text.ValueKind != JsonValueKind.Null)
        {
            var value = text.ValueKind == JsonValueKind.String ? text.GetString()! : text.GetRawText();
            // Gemini accepts these signatures in a request but does not require them, unlike those of calls.
            if (part.TryGetProperty("thoughtSignature", out _)) _warn(SealWarning.Code, SealWarning.Message);
            if (value.Length == 0) return;
            state.HasContent = true;
            if (part.TryGetProperty("thought", out var thought) && thought.ValueKind == JsonValueKind.True)
            {
                events.Add(new ReasoningDelta(value) { Choice = index });
            }
            else
            {
                events.Add(new TextDelta(value) { Choice = index, Logprobs = logprobs });
                logprobs = null;
            }
        }
        else if (part.TryGetProperty("functionCall", out var call) && call.ValueKind == JsonValueKind.Object)
        {
            if (TextOf(call, "name") is not { Length: > 0 } name)
            {
                // A client cannot run a call without a name.
                _meter.SkippedEvents++;
                return;
            }
            state.HasContent = true;
            var position = state.Calls++;
            var id = TextOf(call, "id") is { Length: > 0 } known ? known : _newCallId();
            events.Add(new ToolCallStarted(position, id, name)
            {
                Choice = index,
                Signature = TextOf(part, "thoughtSignature"),
            });
            var arguments = !call.TryGetProperty("args", out var args) ? "{}"
                : args.ValueKind == JsonValueKind.Object ? Compact(args)
                : args.ValueKind == JsonValueKind.String && args.GetString() is { Length: > 0 } told ? told : "{}";
            events.Add(new ToolCallDelta(position, arguments) { Choice = index });
        }
        else if (part.TryGetProperty("thoughtSignature", out _))
        {
            _warn(SealWarning.Code, SealWarning.Message);
        }
        else
        {
            _warn("output_omitted", "The model returned a kind of output that this API cannot represent; it was left out.");
        }
    }

    private static string? TextOf(JsonElement owner, string name) =>
        owner.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    // On one line, whatever its white space.
    private static string Compact(JsonElement element)
    {
        var buffer = new System.Buffers.ArrayBufferWriter<byte>(256);
        using (var json = new Utf8JsonWriter(buffer, ErrorBodyWriter.WriterOptions)) element.WriteTo(json);
        return System.Text.Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private GatewayError? ReadFinish(string word, int index, CandidateState state, ICollection<GenerationEvent> events)
    {
        var meaning = FinishReasonTable.Of(word);
        if (meaning == FinishMeaning.None) return null;
        if (meaning != FinishMeaning.Failed)
        {
            if (meaning is FinishMeaning.Stop or FinishMeaning.ToolCalls)
            {
                meaning = state.Calls > 0 ? FinishMeaning.ToolCalls : FinishMeaning.Stop;
            }
            Finish(index, meaning, events);
            return null;
        }
        // A malformed function call or an unknown reason: the response may be incomplete.
        _meter.FailedReason = word;
        return Http.UpstreamClient.FailedReasonError;
    }

    // Once, unless another reason is more specific.
    private void Finish(int index, FinishMeaning meaning, ICollection<GenerationEvent> events)
    {
        var state = _candidates[index] ??= new CandidateState();
        if (meaning <= state.Reason) return;
        if (!state.Finished) _finished++;
        state.Reason = meaning;
        events.Add(new ChoiceFinished(FinishReasonTable.ToReason(meaning)!.Value) { Choice = index });
    }

    private static void ReadUsage(JsonElement root, bool isLast, ICollection<GenerationEvent> events)
    {
        if (!root.TryGetProperty("usageMetadata", out var usage) || UsageReport.Read(usage) is not { } report) return;
        // The first events of a stream may count the input only. If that count were final, a truncated stream would have no output cost.
        if (!isLast && report[UsageMember.Output] is not > 0 && report[UsageMember.Reasoning] is not > 0) return;
        // The API omits a count of zero.
        events.Add(UsageReported.Of(report));
    }

    private static List<TokenLogprob>? ReadLogprobs(JsonElement candidate)
    {
        if (!candidate.TryGetProperty("logprobsResult", out var result) || !result.TryGetProperty("chosenCandidates", out var chosen))
        {
            return null;
        }
        var top = result.TryGetProperty("topCandidates", out var list) && list.ValueKind == JsonValueKind.Array ? list : default;
        var tokens = new List<TokenLogprob>(chosen.GetArrayLength());
        foreach (var token in chosen.EnumerateArray())
        {
            List<TokenLogprob> alternatives = [];
            if (top.ValueKind == JsonValueKind.Array && tokens.Count < top.GetArrayLength()
                && top[tokens.Count].TryGetProperty("candidates", out var others))
            {
                foreach (var other in others.EnumerateArray()) alternatives.Add(ReadToken(other, []));
            }
            tokens.Add(ReadToken(token, alternatives));
        }
        return tokens.Count == 0 ? null : tokens;
    }

    private static TokenLogprob ReadToken(JsonElement element, IReadOnlyList<TokenLogprob> top)
    {
        var token = element.TryGetProperty("token", out var text) ? text.GetString() ?? "" : "";
        var logprob = element.TryGetProperty("logProbability", out var value) ? value.GetDouble() : 0;
        return new TokenLogprob(token, logprob, top) { Bytes = System.Text.Encoding.UTF8.GetBytes(token) };
    }

    private sealed class CandidateState
    {
        public int Calls { get; set; }

        public bool HasContent { get; set; }

        public FinishMeaning Reason { get; set; }

        public bool Finished => Reason != FinishMeaning.None;
    }
}
