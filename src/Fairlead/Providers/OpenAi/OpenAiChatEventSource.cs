using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Dialects.Quirks;
using Fairlead.Pipeline;
using Fairlead.Providers.Http;
using Fairlead.Streaming;
using Fairlead.TokenCounting;

namespace Fairlead.Providers.OpenAi;

/// <summary>An OpenAI chat stream as canonical events.</summary>
/// <param name="stops">The stop sequences of the request.</param>
internal sealed class OpenAiChatEventSource(UpstreamExchange exchange, int expectedChoices, IReadOnlyList<string> stops)
    : TranslatedEventSource(exchange, expectedChoices)
{
    private readonly Dictionary<int, CallsOfChoice> _calls = [];
    private readonly Dictionary<int, FinishMeaning> _finished = [];
    private readonly ChatNormaliser _normaliser = new(isChat: true, exchange.Attempt.Meter.CreatedAt, exchange.Attempt.Meter);
    private bool _started;

    // A server may return fewer choices than requested; those that started must have ended.
    protected override bool MayEnd => IsFinished || (FinishedChoices > 0 && !_normaliser.HasOpenChoice);

    protected override bool OnDocument(ReadOnlyMemory<byte> document, EventBatch batch)
    {
        var read = new OutputMeter { CreatedAt = Exchange.Attempt.Meter.CreatedAt };
        return AddAnswer(OpenAiChatResponseReader.Read(document, read, stops), read, batch);
    }

    protected override void Translate(ReadOnlySpan<byte> name, ReadOnlySpan<byte> data, EventBatch batch)
    {
        if (ChatNormaliser.IsEndMark(data))
        {
            EndOrFail(batch);
            return;
        }
        var isErrorEvent = name.SequenceEqual("error"u8);
        if (!_normaliser.TryNormalise(data, wantModel: false, out var found, out var repaired))
        {
            if (isErrorEvent) FailWith(batch, UpstreamErrorBody.Find(data) ?? UpstreamErrorBody.Empty);
            else Exchange.Attempt.Meter.SkippedEvents++;
            return;
        }
        if (found.IsError || isErrorEvent)
        {
            FailWith(batch, UpstreamErrorBody.Find(data) ?? new UpstreamErrorBody(found.ErrorType, null, null, found.ErrorMessage));
            return;
        }
        if (ChatNormaliser.IsEmptyEvent(found)) return;
        Exchange.Attempt.Meter.ReportTier(found.ServiceTier);
        Parse(repaired ?? data, batch);
        if (found.FailedReason is null) return;
        Exchange.Attempt.Meter.FailedReason = found.FailedReason;
        FailReason(batch);
    }

    private void Parse(ReadOnlySpan<byte> data, EventBatch batch)
    {
        var before = batch.Items.Count;
        try
        {
            var reader = new Utf8JsonReader(data, new JsonReaderOptions { MaxDepth = 512 });
            using var document = JsonDocument.ParseValue(ref reader);
            var root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object) throw new JsonException();
            Chunk(root, batch);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // The whole event or nothing: half an event would change the response.
            batch.Items.RemoveRange(before, batch.Items.Count - before);
            Exchange.Attempt.Meter.SkippedEvents++;
        }
    }

    private void Chunk(JsonElement root, EventBatch batch)
    {
        if (!_started)
        {
            _started = true;
            Exchange.Attempt.Meter.UpstreamModel = OpenAiWire.Text(root, "model");
            batch.Add(new ResponseStarted { SystemFingerprint = OpenAiWire.Text(root, "system_fingerprint"),
                ServiceTier = OpenAiWire.Text(root, "service_tier") });
        }
        if (OpenAiWire.Has(root, "choices", JsonValueKind.Array, out var choices))
        {
            foreach (var choice in choices.EnumerateArray())
            {
                if (choice.ValueKind == JsonValueKind.Object) Choice(choice, batch);
            }
        }
        if (OpenAiWire.ReadUsage(root) is { } usage) batch.Add(UsageReported.Of(usage));
    }

    private void Choice(JsonElement choice, EventBatch batch)
    {
        var index = (int)Math.Min(OpenAiWire.Count(choice, "index"), 127);
        var logprobs = OpenAiWire.Logprobs(choice);
        if (OpenAiWire.Has(choice, "delta", JsonValueKind.Object, out var delta))
        {
            if (OpenAiWire.Reasoning(delta) is { Length: > 0 } reasoning) batch.Add(new ReasoningDelta(reasoning) { Choice = index });
            if (OpenAiWire.Text(delta, "content") is { } text && (text.Length > 0 || logprobs is not null))
            {
                batch.Add(new TextDelta(text) { Choice = index, Logprobs = logprobs });
            }
            else if (OpenAiWire.Has(delta, "content", JsonValueKind.Array, out var pieces))
            {
                Pieces(pieces, index, batch);
            }
            if (OpenAiWire.Text(delta, "refusal") is { Length: > 0 } refusal) batch.Add(new RefusalDelta(refusal) { Choice = index });
            if (OpenAiWire.Has(delta, "tool_calls", JsonValueKind.Array, out var calls))
            {
                var position = 0;
                foreach (var call in calls.EnumerateArray())
                {
                    if (call.ValueKind == JsonValueKind.Object) ToolCall(call, index, position, batch);
                    position++;
                }
            }
            if (OpenAiWire.Has(delta, "function_call", JsonValueKind.Object, out var legacy))
            {
                Advance(index, 0, $"call_function_{index}", legacy, ToolKind.Function, batch);
            }
            if (OpenAiWire.Has(delta, "annotations", JsonValueKind.Array, out var annotations) && annotations.GetArrayLength() > 0)
            {
                batch.Add(new AnnotationsAdded((JsonArray)OpenAiWire.Copy(annotations)) { Choice = index });
            }
            if (OpenAiWire.Has(delta, "audio", JsonValueKind.Object, out var audio))
            {
                batch.Add(new AudioDelta((JsonObject)OpenAiWire.Copy(audio)) { Choice = index });
            }
        }
        if (OpenAiWire.FinishText(choice) is { } reason && FinishReasonTable.Of(reason) is var meaning
            && FinishReasonTable.ToReason(meaning) is not null && meaning > _finished.GetValueOrDefault(index))
        {
            _finished[index] = meaning;
            // Without a finish the end of the stream becomes a failure.
            if (OpenAiWire.Finish(reason, _calls.GetValueOrDefault(index)?.AnyStarted == true) is { } finish)
            {
                batch.Add(new ChoiceFinished(finish) { Choice = index, StopSequence = OpenAiWire.StopSequence(choice, stops) });
            }
        }
    }

    private static void Pieces(JsonElement pieces, int choice, EventBatch batch)
    {
        foreach (var piece in pieces.EnumerateArray())
        {
            if (piece.ValueKind != JsonValueKind.Object) continue;
            if (OpenAiWire.Has(piece, "thinking", JsonValueKind.Array, out var thoughts))
            {
                foreach (var thought in thoughts.EnumerateArray())
                {
                    if (thought.ValueKind == JsonValueKind.Object && OpenAiWire.Text(thought, "text") is { Length: > 0 } thinking)
                    {
                        batch.Add(new ReasoningDelta(thinking) { Choice = choice });
                    }
                }
            }
            else if (OpenAiWire.Text(piece, "text") is { Length: > 0 } text)
            {
                batch.Add(new TextDelta(text) { Choice = choice });
            }
        }
    }

    private void ToolCall(JsonElement call, int choice, int position, EventBatch batch)
    {
        var id = OpenAiWire.Text(call, "id") is { Length: > 0 } given ? given : null;
        var known = CallsOf(choice);
        var index = call.TryGetProperty("index", out var at) && at.ValueKind == JsonValueKind.Number && at.TryGetInt32(out var number)
            && number >= 0
            ? number
            // Servers that leave the index out send whole calls: a new id is a new call.
            : id is null || known.Ids.Contains(id) ? Math.Max(position, known.ByIndex.Count - 1) : known.ByIndex.Count;
        var custom = OpenAiWire.Has(call, "custom", JsonValueKind.Object, out var body);
        if (!custom && !OpenAiWire.Has(call, "function", JsonValueKind.Object, out body)) return;
        Advance(choice, index, id, body, custom ? ToolKind.Custom : ToolKind.Function, batch);
    }

    private void Advance(int choice, int index, string? id, JsonElement body, ToolKind kind, EventBatch batch)
    {
        var calls = CallsOf(choice);
        if (!calls.ByIndex.TryGetValue(index, out var call))
        {
            call = new Call(calls.ByIndex.Count) { Kind = kind };
            calls.ByIndex.Add(index, call);
        }
        call.Id ??= id;
        if (id is not null) calls.Ids.Add(id);
        var arguments = OpenAiWire.Text(body, kind == ToolKind.Custom ? "input" : "arguments")
            ?? (OpenAiWire.Has(body, "arguments", JsonValueKind.Object, out var value) ? value.GetRawText() : null);
        if (!call.Started)
        {
            call.Name ??= OpenAiWire.Text(body, "name");
            // A call starts when its name is known; earlier fragments wait.
            if (call.Name is null)
            {
                call.Pending.Append(arguments);
                return;
            }
            calls.AnyStarted = true;
            Start(call, choice, batch);
        }
        if (arguments is { Length: > 0 }) batch.Add(new ToolCallDelta(call.Position, arguments) { Choice = choice });
    }

    private CallsOfChoice CallsOf(int choice)
    {
        if (!_calls.TryGetValue(choice, out var calls)) _calls[choice] = calls = new CallsOfChoice();
        return calls;
    }

    private static void Start(Call call, int choice, EventBatch batch)
    {
        call.Started = true;
        batch.Add(new ToolCallStarted(call.Position, call.Id ?? $"call_{choice}_{call.Position}", call.Name ?? "")
        {
            Choice = choice, Kind = call.Kind,
        });
        if (call.Pending.Length == 0) return;
        batch.Add(new ToolCallDelta(call.Position, call.Pending.ToString()) { Choice = choice });
        call.Pending.Clear();
    }

    private sealed class CallsOfChoice
    {
        public Dictionary<int, Call> ByIndex { get; } = [];

        public HashSet<string> Ids { get; } = new(StringComparer.Ordinal);

        public bool AnyStarted { get; set; }
    }

    private sealed class Call(int position)
    {
        public int Position { get; } = position;

        public string? Id { get; set; }

        public string? Name { get; set; }

        public ToolKind Kind { get; init; }

        public bool Started { get; set; }

        public StringBuilder Pending { get; } = new();
    }
}
