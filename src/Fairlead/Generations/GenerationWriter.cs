using System.Buffers;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Storage;
using Fairlead.TokenCounting;

namespace Fairlead.Generations;

/// <summary>Writes the generation object, of what is kept and of what runs at this moment. Thread-safe.</summary>
internal sealed class GenerationWriter(IGenerationStore store, RunningGenerations running, RunFinisher finisher, TokenCounter counter, Configuration.IConfigurationSource configuration, TimeProvider time)
{
    /// <summary>One generation with its place in the queue and its progress.</summary>
    public async Task WriteAsync(IBufferWriter<byte> output, GenerationRecord record, CancellationToken cancellationToken)
    {
        int? position = null;
        if (record.Status == GenerationStatus.Queued)
        {
            try
            {
                position = await store.PositionAsync(record, cancellationToken);
            }
            catch (Exception exception) when (StorageFaults.IsStoreFault(exception))
            {
                // Where it stands is a courtesy; that it was accepted is not.
            }
        }
        using var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions);
        Write(json, record, position);
    }

    /// <param name="json">Takes the object.</param>
    /// <param name="record">The generation.</param>
    /// <param name="position">How many wait before it; null when it does not wait or nobody counted.</param>
    public void Write(Utf8JsonWriter json, GenerationRecord record, int? position = null)
    {
        var progress = record.IsFinal ? null : running.Find(record.Id)?.ProgressBy(counter) ?? GenerationProgress.Read(record.Progress);
        WriteOne(json, record, position is { } before ? (before, Expected(before)) : null, progress);
    }

    /// <param name="json">Takes the object.</param>
    /// <param name="record">The generation.</param>
    /// <param name="queue">How many wait before it, and when it is expected to begin; null when it does not wait or nobody counted.</param>
    /// <param name="progress">How far one has come that has not ended; null when nothing is known.</param>
    public static void WriteOne(Utf8JsonWriter json, GenerationRecord record, (int Position, DateTimeOffset? ExpectedStart)? queue, GenerationProgress? progress)
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

    // The same members in every state, so that a client needs one type.
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

    private DateTimeOffset? Expected(int before) => finisher.AverageRun is { } average && configuration.Current.Jobs.Workers is > 0 and var workers
        ? time.GetUtcNow() + (average * (before / workers))
        : null;
}
