using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Fairlead.Conversation;

namespace Fairlead.Generations.Events;

/// <summary>
/// The stored form of the events of a generation: what a reader sees, in the canonical form, so that each dialect can write its view of
/// them. End, usage and errors are not among them; they are in the row of the generation.
/// </summary>
internal static class KeptEvents
{
    /// <summary>Whether the event is stored, because a view of the generation shows it.</summary>
    public static bool IsKept(GenerationEvent made) => made is TextDelta or ReasoningDelta or RefusalDelta or ToolCallStarted
        or ToolCallDelta or AnnotationsAdded or AudioDelta or GenerationRestarted or GenerationWarned or NativeEvent or PartialValue
        or OutputRepaired;

    public static byte[] Write(IReadOnlyList<GenerationEvent> events)
    {
        var kept = new List<KeptEvent>(events.Count);
        foreach (var made in events) kept.Add(Of(made));
        return JsonSerializer.SerializeToUtf8Bytes(kept, KeptEventsJsonContext.Default.ListKeptEvent);
    }

    /// <exception cref="JsonException">It was not written by <see cref="Write"/>.</exception>
    public static IReadOnlyList<GenerationEvent> Read(ReadOnlySpan<byte> bytes)
    {
        var kept = JsonSerializer.Deserialize(bytes, KeptEventsJsonContext.Default.ListKeptEvent)
            ?? throw new JsonException("Stored events are an array.");
        return kept.ConvertAll(Of);
    }

    private static KeptEvent Of(GenerationEvent made) => made switch
    {
        TextDelta text => new KeptEvent { Kind = "text", Choice = text.Choice, Text = text.Text, Logprobs = text.Logprobs },
        ReasoningDelta reasoning => new KeptEvent
        {
            Kind = "reasoning",
            Choice = reasoning.Choice,
            Text = reasoning.Text,
            Signature = reasoning.Signature,
            Redacted = reasoning.Redacted,
        },
        RefusalDelta refusal => new KeptEvent { Kind = "refusal", Choice = refusal.Choice, Text = refusal.Text },
        ToolCallStarted call => new KeptEvent
        {
            Kind = "call",
            Choice = call.Choice,
            Index = call.Index,
            Id = call.Id,
            Name = call.Name,
            ToolKind = (int)call.Kind,
            Signature = call.Signature,
        },
        ToolCallDelta delta => new KeptEvent { Kind = "arguments", Choice = delta.Choice, Index = delta.Index, Text = delta.Arguments },
        AnnotationsAdded added => new KeptEvent { Kind = "annotations", Choice = added.Choice, Node = added.Annotations },
        AudioDelta audio => new KeptEvent { Kind = "audio", Choice = audio.Choice, Node = audio.Audio },
        NativeEvent native => new KeptEvent { Kind = "native", Index = native.Kind, Data = native.Data },
        GenerationRestarted restarted => new KeptEvent { Kind = "restarted", Index = restarted.Run },
        GenerationWarned warned => new KeptEvent { Kind = "warned", Id = warned.Code, Text = warned.Message },
        PartialValue partial => new KeptEvent { Kind = "partial", Id = partial.Pointer, Text = partial.Json },
        OutputRepaired repaired => new KeptEvent { Kind = "repaired", Violations = repaired.Violations },
        _ => throw new ArgumentException($"{made.GetType().Name} is not stored.", nameof(made)),
    };

    private static GenerationEvent Of(KeptEvent kept) => kept.Kind switch
    {
        "text" => new TextDelta(kept.Text ?? "") { Choice = kept.Choice, Logprobs = kept.Logprobs },
        "reasoning" => new ReasoningDelta(kept.Text ?? "")
        {
            Choice = kept.Choice,
            Signature = kept.Signature,
            Redacted = kept.Redacted,
        },
        "refusal" => new RefusalDelta(kept.Text ?? "") { Choice = kept.Choice },
        "call" => new ToolCallStarted(kept.Index, kept.Id ?? "", kept.Name ?? "")
        {
            Choice = kept.Choice,
            Kind = (ToolKind)kept.ToolKind,
            Signature = kept.Signature,
        },
        "arguments" => new ToolCallDelta(kept.Index, kept.Text ?? "") { Choice = kept.Choice },
        "annotations" => new AnnotationsAdded(kept.Node as JsonArray ?? []) { Choice = kept.Choice },
        "audio" => new AudioDelta(kept.Node as JsonObject ?? []) { Choice = kept.Choice },
        "native" => new NativeEvent(kept.Index, kept.Data ?? []),
        "restarted" => new GenerationRestarted(kept.Index),
        "warned" => new GenerationWarned(kept.Id ?? "", kept.Text ?? ""),
        "partial" => new PartialValue(kept.Id ?? "", kept.Text ?? "null"),
        "repaired" => new OutputRepaired(kept.Violations ?? []),
        _ => throw new JsonException($"This version does not know the kind of event '{kept.Kind}'."),
    };
}

/// <summary>
/// Another run started after an earlier one was lost or failed: all earlier events are void. Only in the log of a stored generation.
/// </summary>
/// <param name="Run">Number of the new run, from 2.</param>
internal sealed record GenerationRestarted(int Run) : GenerationEvent;

/// <summary>A warning; the generation continues. Only in the log of a stored generation.</summary>
/// <param name="Code">As in the list of warnings.</param>
/// <param name="Message">One sentence.</param>
internal sealed record GenerationWarned(string Code, string Message) : GenerationEvent;

/// <summary>
/// An unchanged event of a provider that uses the client's dialect. Only the view of that dialect shows it. Only in the log of a stored
/// generation.
/// </summary>
/// <param name="Kind">The dialect's number for its name.</param>
/// <param name="Data">Its JSON.</param>
internal sealed record NativeEvent(int Kind, byte[] Data) : GenerationEvent;

/// <summary>The stored form of one event. Its kind determines which members it has.</summary>
internal sealed record KeptEvent
{
    [JsonPropertyName("k")]
    public required string Kind { get; init; }

    [JsonPropertyName("c")]
    public int Choice { get; init; }

    [JsonPropertyName("t")]
    public string? Text { get; init; }

    [JsonPropertyName("l")]
    public IReadOnlyList<TokenLogprob>? Logprobs { get; init; }

    [JsonPropertyName("s")]
    public string? Signature { get; init; }

    [JsonPropertyName("r")]
    public string? Redacted { get; init; }

    [JsonPropertyName("i")]
    public int Index { get; init; }

    [JsonPropertyName("id")]
    public string? Id { get; init; }

    [JsonPropertyName("n")]
    public string? Name { get; init; }

    [JsonPropertyName("tk")]
    public int ToolKind { get; init; }

    [JsonPropertyName("d")]
    public byte[]? Data { get; init; }

    [JsonPropertyName("v")]
    public IReadOnlyList<SchemaViolation>? Violations { get; init; }

    [JsonPropertyName("o")]
    public JsonNode? Node { get; init; }
}

[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault, MaxDepth = 1024)]
[JsonSerializable(typeof(List<KeptEvent>))]
internal sealed partial class KeptEventsJsonContext : JsonSerializerContext;
