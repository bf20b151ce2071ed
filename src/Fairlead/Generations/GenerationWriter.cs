using System.Buffers;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Storage;
using Fairlead.TokenCounting;

namespace Fairlead.Generations;

/// <summary>Writes the generation object of a stored generation, with the progress of a running one. Thread-safe.</summary>
internal sealed class GenerationWriter(
    IGenerationStore store,
    RunningGenerations running,
    RunFinisher finisher,
    TokenCounter counter,
    Configuration.IConfigurationSource configuration,
    TimeProvider time)
{
    /// <summary>Writes one generation with its position in the queue and its progress.</summary>
    public async Task WriteAsync(IBufferWriter<byte> output, GenerationRecord record, CancellationToken cancellationToken)
    {
        int? position = null;
        if (record.Status == GenerationStatus.Queued)
        {
            try
            {
                position = await store.PositionAsync(record, cancellationToken);
            }
            catch (Exception exception) when (StorageErrors.IsStoreError(exception))
            {
                // The position is optional; the rest of the response is not.
            }
        }
        using var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions);
        Write(json, record, position);
    }

    /// <param name="json">Receives the object.</param>
    /// <param name="record">The generation.</param>
    /// <param name="position">Its position in the queue; null if it is not queued or the position is unknown.</param>
    public void Write(Utf8JsonWriter json, GenerationRecord record, int? position = null)
    {
        var progress = record.IsFinal ? null : running.Find(record.Id)?.ProgressBy(counter) ?? GenerationProgress.Read(record.Progress);
        WriteOne(json, record, position is { } before ? (before, Expected(before)) : null, progress, isStored: true);
    }

    /// <param name="json">Receives the object.</param>
    /// <param name="record">The generation.</param>
    /// <param name="queue">Its position in the queue and expected start; null if it is not queued or the position is unknown.</param>
    /// <param name="progress">Progress of a generation that has not ended; null if it is unknown.</param>
    /// <param name="isStored">Whether its result and its events can be read again.</param>
    public static void WriteOne(
        Utf8JsonWriter json, GenerationRecord record, (int Position, DateTimeOffset? ExpectedStart)? queue, GenerationProgress? progress,
        bool isStored)
    {
        json.WriteStartObject();
        json.WriteString("id", record.Id);
        json.WriteString("object", "generation");
        json.WriteString("status", record.Status.ToWire());
        json.WriteString("outcome", record.Outcome?.ToWire());
        Write(json, "created_at", record.CreatedAt);
        Write(json, "started_at", record.StartedAt);
        Write(json, "completed_at", record.EndedAt);
        Write(json, "expires_at", record.ExpiresAt);
        json.WriteString("class", record.Class);
        json.WriteString("dialect", record.Dialect);
        json.WriteNumber("runs", record.Runs);
        if (queue is { } place)
        {
            json.WriteStartObject("queue");
            json.WriteNumber("position", place.Position);
            Write(json, "expected_start_at", place.ExpectedStart);
            json.WriteEndObject();
        }
        else
        {
            json.WriteNull("queue");
        }
        json.WriteString("model_requested", record.Model);
        WriteDelivery(json, record);
        json.WriteNull("prompt");
        json.WriteStartObject("metadata");
        foreach (var (name, value) in record.Context.Metadata ?? new Dictionary<string, string>()) json.WriteString(name, value);
        json.WriteEndObject();
        json.WriteBoolean("content_stored", isStored);
        if (record.Details is { } details) GenerationDetails.CopyTo(json, details);
        else WriteProgress(json, record.IsFinal ? null : progress);
        json.WriteEndObject();
    }

    private static void WriteDelivery(Utf8JsonWriter json, GenerationRecord record)
    {
        var delivery = record.Context.Delivery ?? new GenerationDelivery("job", null, false);
        json.WriteStartObject("delivery");
        json.WriteString("mode", delivery.Mode);
        if (delivery.WaitSeconds is { } seconds) json.WriteNumber("wait_seconds", seconds);
        else json.WriteNull("wait_seconds");
        if (record.WebhookUrl is { } url)
        {
            json.WriteStartObject("webhook");
            json.WriteString("url", url);
            json.WriteEndObject();
        }
        else
        {
            json.WriteNull("webhook");
        }
        json.WriteString("on_disconnect", delivery.Continues || delivery.Mode == "job" ? "continue" : "cancel");
        json.WriteEndObject();
    }

    // The members are the same for every status, so that a client needs only one type.
    private static void WriteProgress(Utf8JsonWriter json, GenerationProgress? progress)
    {
        json.WriteNull("model");
        json.WriteNull("provider");
        json.WriteNull("output");
        json.WriteString("output_text", progress?.Text);
        if (progress is null)
        {
            json.WriteNull("usage");
        }
        else
        {
            json.WritePropertyName("usage");
            UsageJson.Write(json, new Usage(progress.InputTokens, progress.OutputTokens) { Basis = Basis.Estimated });
        }
        foreach (var name in GenerationDetails.FromMetadata)
        {
            if (name != "usage") json.WriteNull(name);
        }
        json.WriteNull("error");
    }

    private static void Write(Utf8JsonWriter json, string name, DateTimeOffset? at)
    {
        if (at is { } known) json.WriteString(name, known.UtcDateTime);
        else json.WriteNull(name);
    }

    private DateTimeOffset? Expected(int before) =>
        finisher.AverageRun is { } average && configuration.Current.Jobs.Workers is > 0 and var workers
        ? time.GetUtcNow() + (average * (before / workers))
        : null;
}
