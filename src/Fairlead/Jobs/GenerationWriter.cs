using System.Buffers;
using System.Text;
using System.Text.Json;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Storage;

namespace Fairlead.Jobs;

/// <summary>Writes the generation object, of what is kept and of what runs at this moment. Thread-safe.</summary>
internal sealed class GenerationWriter(IGenerationStore store, RunningGenerations running, JobWorker worker, Configuration.IConfigurationSource configuration, TimeProvider time)
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
        var progress = record.IsFinal ? null : running.Find(record.Id)?.Text ?? (record.Progress is { } text ? Encoding.UTF8.GetString(text) : null);
        WriteOne(json, record, position is { } before ? (before, Expected(before)) : null, progress);
    }

    /// <param name="json">Takes the object.</param>
    /// <param name="record">The generation.</param>
    /// <param name="queue">How many wait before it, and when it is expected to begin; null when it does not wait or nobody counted.</param>
    /// <param name="progress">The text so far of one that has not ended.</param>
    public static void WriteOne(Utf8JsonWriter json, GenerationRecord record, (int Position, DateTimeOffset? ExpectedStart)? queue, string? progress)
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
        if (record.IsFinal)
        {
            WriteDetails(json, record.Details);
        }
        else
        {
            json.WriteString("output_text", progress);
        }
        json.WriteEndObject();
    }

    private static void WriteDetails(Utf8JsonWriter json, byte[]? details)
    {
        if (details is null) return;
        using var document = JsonDocument.Parse(details);
        foreach (var member in document.RootElement.EnumerateObject()) member.WriteTo(json);
    }

    private static void Write(Utf8JsonWriter json, string name, DateTimeOffset? at)
    {
        if (at is { } known) json.WriteString(name, known.UtcDateTime);
        else json.WriteNull(name);
    }

    private DateTimeOffset? Expected(int before) => worker.AverageRun is { } average && configuration.Current.Jobs.Workers is > 0 and var workers
        ? time.GetUtcNow() + (average * (before / workers))
        : null;
}
