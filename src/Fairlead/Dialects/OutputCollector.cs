using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Generations.Events;
using Fairlead.Memory;
using Fairlead.Streaming;

namespace Fairlead.Dialects;

/// <summary>Makes the JSON of an item of a response.</summary>
/// <param name="item">The item.</param>
/// <param name="maxCharacters">Maximum characters of it.</param>
/// <param name="isTruncated">Whether something was left out.</param>
internal delegate string OutputItemWriter(JsonElement item, int maxCharacters, out bool isTruncated);

/// <summary>
/// Collects the output of a call as text, whatever form it comes in: text, reasoning, refusals and calls of tools of each choice. It keeps
/// a limited number of characters, and counts them in the memory budget. One owner, who disposes it; not thread-safe.
/// </summary>
/// <param name="maxCharacters">Maximum of characters.</param>
/// <param name="memory">Counts them; null to count nothing.</param>
/// <param name="items">Makes the JSON of an item; null to take it as it is.</param>
/// <param name="isHashed">
/// Only the hash is wanted: of the first text, which is nearly always the longest or the only one, no character is kept.
/// </param>
internal sealed class OutputCollector(int maxCharacters, MemoryBudget? memory, OutputItemWriter? items = null, bool isHashed = false) : IDisposable
{
    // A part without text has memory, too.
    private const int PartCharacters = 64;

    private static readonly JsonReaderOptions Parsing = new() { MaxDepth = 512 };

    private readonly MemoryLease _lease = new(memory);
    private readonly SortedDictionary<int, CollectedChoice> _choices = [];
    private TextHash? _hash;
    private int _characters;

    /// <summary>By number.</summary>
    public IReadOnlyDictionary<int, CollectedChoice> Choices => _choices;

    /// <summary>Whether some of the output was left out.</summary>
    public bool IsTruncated { get; private set; }

    /// <summary>Adds the events of a batch.</summary>
    /// <param name="batch">The events.</param>
    /// <param name="native">Reads those in the client's dialect; null if there are none.</param>
    public void Add(EventBatch batch, INativeOutput? native)
    {
        foreach (var item in batch.Items)
        {
            if (item.Event is { } made) Add(made);
            else if (native is not null) AddNative(batch.DataOf(item), native);
        }
    }

    public void Add(ModelResponse response)
    {
        foreach (var choice in response.Choices)
        {
            foreach (var part in choice.Parts) Add(choice.Index, part);
            if (choice.Audio is { } audio) Transcribe(choice.Index, audio);
            if (choice.FinishReason is { } reason) Finish(choice.Index, NameOf(reason));
        }
    }

    /// <summary>Adds a whole response in the client's dialect.</summary>
    public void Add(ReadOnlySpan<byte> body, INativeOutput native)
    {
        try
        {
            var reader = new Utf8JsonReader(body, Parsing);
            using var document = JsonDocument.ParseValue(ref reader);
            if (document.RootElement.ValueKind == JsonValueKind.Object) native.ReadBody(document.RootElement, this);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // Half of a surrogate pair is no text.
            IsTruncated = true;
        }
    }

    /// <summary>Adds a piece to the open text of its type, which starts if there is none.</summary>
    public void Append(int choice, string type, string? text)
    {
        if (string.IsNullOrEmpty(text)) return;
        var found = Of(choice);
        if (!found.Open.TryGetValue(type, out var part))
        {
            if (!Take(PartCharacters)) return;
            found.Parts.Add(found.Open[type] = part = new CollectedPart(type));
            if (isHashed && choice == 0 && found.Parts.Count == 1 && _hash is null) part.Hash = _hash = new TextHash();
        }
        Append(part, text);
    }

    /// <summary>Ends the texts: the next piece starts another.</summary>
    public void EndPart(int choice)
    {
        if (_choices.TryGetValue(choice, out var known)) known.Open.Clear();
    }

    /// <summary>A call of a tool starts, or more of its start is known.</summary>
    /// <param name="choice">The choice.</param>
    /// <param name="number">Tells the calls of the choice apart.</param>
    /// <param name="id">Its id, if known.</param>
    /// <param name="name">The name of the tool, if known.</param>
    public void StartCall(int choice, long number, string? id, string? name)
    {
        var found = Of(choice);
        if (!found.Calls.TryGetValue(number, out var call))
        {
            if (!Take(PartCharacters)) return;
            found.Open.Clear();
            found.Parts.Add(found.Calls[number] = call = new CollectedPart(CollectedPart.ToolCall) { Name = "" });
        }
        if (!string.IsNullOrEmpty(id) && call.Id is null && Take(id.Length)) call.Id = id;
        if (!string.IsNullOrEmpty(name) && call.Name!.Length == 0 && Take(name.Length)) call.Name = name;
    }

    /// <summary>Adds a piece to the arguments of a call.</summary>
    public void AppendArguments(int choice, long number, string? arguments)
    {
        if (string.IsNullOrEmpty(arguments)) return;
        if (Of(choice).Calls.TryGetValue(number, out var call)) Append(call, arguments);
        else IsTruncated = true;
    }

    /// <summary>Adds an item that only one dialect has, such as a search of the provider.</summary>
    public void AddItem(int choice, string type, JsonElement item)
    {
        if (!Take(PartCharacters + type.Length)) return;
        var part = new CollectedPart(type);
        var found = Of(choice);
        found.Open.Clear();
        found.Parts.Add(part);
        if (items is null)
        {
            Append(part, item.GetRawText());
            return;
        }
        var text = items(item, Math.Max(0, maxCharacters - _characters), out var isTruncated);
        Append(part, text);
        if (isTruncated) part.IsCut = IsTruncated = true;
    }

    public void Finish(int choice, string? reason)
    {
        if (reason is { Length: > 0 and <= 64 }) Of(choice).FinishReason = reason;
    }

    // What was collected can still be read: the stream may end before its call does.
    public void Dispose() => _lease.Dispose();

    private void Add(GenerationEvent made)
    {
        switch (made)
        {
            case TextDelta text: Append(text.Choice, CollectedPart.Text, text.Text); break;
            case ReasoningDelta { Redacted: null } reasoning: Append(reasoning.Choice, CollectedPart.Reasoning, reasoning.Text); break;
            case RefusalDelta refusal: Append(refusal.Choice, CollectedPart.Refusal, refusal.Text); break;
            case ToolCallStarted call: StartCall(call.Choice, call.Index, call.Id, call.Name); break;
            case ToolCallDelta delta: AppendArguments(delta.Choice, delta.Index, delta.Arguments); break;
            case AudioDelta audio: Transcribe(audio.Choice, audio.Audio); break;
            case ChoiceFinished finished: Finish(finished.Choice, NameOf(finished.Reason)); break;
            // What was written before it is void.
            case OutputRepaired: Clear(); break;
            case GenerationRestarted: Clear(); break;
        }
    }

    private void Add(int choice, Part part)
    {
        switch (part)
        {
            case TextPart text: Append(choice, CollectedPart.Text, text.Text); break;
            case ReasoningPart reasoning: Append(choice, CollectedPart.Reasoning, reasoning.Text); break;
            case RefusalPart refusal: Append(choice, CollectedPart.Refusal, refusal.Text); break;
            case ToolCallPart call:
                var number = Of(choice).Calls.Count;
                StartCall(choice, number, call.Id, call.Name);
                AppendArguments(choice, number, call.Arguments);
                break;
        }
    }

    private void AddNative(ReadOnlySpan<byte> data, INativeOutput native)
    {
        try
        {
            var reader = new Utf8JsonReader(data, Parsing);
            using var document = JsonDocument.ParseValue(ref reader);
            if (document.RootElement.ValueKind == JsonValueKind.Object) native.ReadEvent(document.RootElement, this);
        }
        catch (JsonException)
        {
            // Such as the mark of the end.
        }
        catch (InvalidOperationException)
        {
            // Half of a surrogate pair is no text.
            IsTruncated = true;
        }
    }

    private void Transcribe(int choice, JsonObject audio)
    {
        if (audio["transcript"] is JsonValue value && value.TryGetValue(out string? text)) Append(choice, CollectedPart.Transcript, text);
    }

    private CollectedChoice Of(int choice)
    {
        if (_choices.TryGetValue(choice, out var known)) return known;
        known = new CollectedChoice();
        // The number is the provider's.
        if (Take(PartCharacters)) _choices[choice] = known;
        return known;
    }

    private void Append(CollectedPart part, string text)
    {
        if (part.IsCut) return;
        if (part.Hash is { } hash)
        {
            hash.Append(text);
            return;
        }
        var room = maxCharacters - _characters;
        if (text.Length > room)
        {
            part.IsCut = IsTruncated = true;
            // Half of a surrogate pair is no character.
            if (room > 0 && char.IsHighSurrogate(text[room - 1])) room--;
            if (room <= 0) return;
            text = text[..room];
        }
        if (Take(text.Length)) part.Content.Append(text);
        else part.IsCut = true;
    }

    private bool Take(int characters)
    {
        if (_characters + characters <= maxCharacters && _lease.TryTake(2L * characters))
        {
            _characters += characters;
            return true;
        }
        IsTruncated = true;
        return false;
    }

    private void Clear()
    {
        _choices.Clear();
        _hash?.Dispose();
        _hash = null;
        _characters = 0;
        IsTruncated = false;
    }

    private static string NameOf(FinishReason reason) => reason switch
    {
        FinishReason.Stop => "stop",
        FinishReason.Length => "length",
        FinishReason.ToolCalls => "tool_calls",
        _ => "content_filter",
    };
}
