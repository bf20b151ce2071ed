using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Generations.Events;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Fairlead.TokenCounting;

namespace Fairlead.Caching;

/// <summary>
/// A complete output in the canonical form, from which each delivery of the same dialect is written: as a stream or as a whole. Immutable;
/// thread-safe.
/// </summary>
internal sealed class CachedOutput
{
    private readonly Lock _gate = new();
    private OutputMeter? _meter;
    private ModelResponse? _whole;

    /// <summary>Name of the deployment that generated it.</summary>
    public required string Deployment { get; init; }

    /// <summary>The model's name as the provider reported it.</summary>
    public string? UpstreamModel { get; init; }

    public string? SystemFingerprint { get; init; }

    public string? ServiceTier { get; init; }

    /// <summary>What a reader sees, in order: text, reasoning, refusals and annotations.</summary>
    public required IReadOnlyList<GenerationEvent> Events { get; init; }

    /// <summary>When each event came, in milliseconds after the first one; null if that is not known.</summary>
    public IReadOnlyList<int>? Offsets { get; init; }

    /// <summary>The end of each choice.</summary>
    public required IReadOnlyList<ChoiceFinished> Finishes { get; init; }

    /// <summary>The response to an embeddings request, in OpenAI's form; null for text.</summary>
    public byte[]? Embeddings { get; init; }

    /// <summary>What it cost in tokens.</summary>
    public required Usage Usage { get; init; }

    /// <summary>Warnings about the output.</summary>
    public required IReadOnlyList<CallWarning> Warnings { get; init; }

    public required DateTimeOffset StoredAt { get; init; }

    public required DateTimeOffset ExpiresAt { get; init; }

    /// <summary>Approximate bytes in memory.</summary>
    public long Size => 512 + (Events.Sum(SizeOf) * 2) + (Offsets?.Count * 4 ?? 0) + (Embeddings?.Length ?? 0);

    /// <summary>The meter of an attempt with this output. Each call that shows it has a copy.</summary>
    public OutputMeter Meter
    {
        get
        {
            if (Volatile.Read(ref _meter) is { } known) return known;
            lock (_gate) return _meter ??= MakeMeter();
        }
    }

    /// <summary>Approximate bytes of an event in memory.</summary>
    public static long SizeOf(GenerationEvent made) => EventLog.SizeOf(made) + made switch
    {
        TextDelta { Logprobs: { } logprobs } => logprobs.Sum(static logprob => 128L * (1 + logprob.Top.Count)),
        AnnotationsAdded annotations => annotations.Annotations.ToJsonString().Length * 4L,
        _ => 0,
    };

    /// <summary>The whole response.</summary>
    public ModelResponse ToResponse()
    {
        if (Volatile.Read(ref _whole) is { } known) return known;
        var builder = new OutputBuilder();
        builder.Add(Start());
        foreach (var made in Events) builder.Add(made);
        foreach (var finish in Finishes) builder.Add(finish);
        var whole = builder.Build();
        // JSON nodes are not safe to share.
        if (whole.Choices.All(static choice => choice.Annotations is null)) Volatile.Write(ref _whole, whole);
        return whole;
    }

    /// <summary>Adds the events from <paramref name="index"/> on that came within <paramref name="until"/> milliseconds.</summary>
    /// <returns>The index of the first event that was not added.</returns>
    public int AddTo(EventBatch batch, int index, int until = int.MaxValue)
    {
        if (index == 0) batch.Add(Start());
        for (; index < Events.Count && (Offsets is null || Offsets[index] <= until); index++) batch.Add(Copy(Events[index]));
        if (index < Events.Count) return index;
        foreach (var finish in Finishes) batch.Add(finish);
        batch.Add(new UsageReported(Usage));
        return index;
    }

    private ResponseStarted Start() => new()
    {
        SystemFingerprint = SystemFingerprint,
        ServiceTier = ServiceTier,
        Usage = Usage with { OutputTokens = 0, ReasoningTokens = 0, AudioOutputTokens = 0 },
    };

    private static GenerationEvent Copy(GenerationEvent made) =>
        made is AnnotationsAdded added ? added with { Annotations = (JsonArray)added.Annotations.DeepClone() } : made;

    private OutputMeter MakeMeter()
    {
        var meter = new OutputMeter { UpstreamModel = UpstreamModel, CreatedAt = StoredAt.ToUnixTimeSeconds() };
        foreach (var made in Events) meter.Observe(made);
        foreach (var finish in Finishes) meter.Observe(finish);
        if (Embeddings is not null)
        {
            meter.AddOutput(0);
            meter.Finish(FinishReason.Stop, 0);
        }
        meter.ReportUsage(Usage);
        meter.ReportTier(ServiceTier);
        return meter;
    }
}
