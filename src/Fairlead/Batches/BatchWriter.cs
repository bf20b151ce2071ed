using System.Buffers;
using System.Text.Json;
using Fairlead.Errors;

namespace Fairlead.Batches;

/// <summary>Writes the batch object of OpenAI.</summary>
internal static class BatchWriter
{
    private const int MaxErrorsInEvent = 10;

    public static byte[] Write(BatchRecord batch)
    {
        var output = new ArrayBufferWriter<byte>(1024);
        using (var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions)) Write(json, batch);
        return output.WrittenSpan.ToArray();
    }

    /// <summary>The same for receivers of events, which should be short: only the first of many errors.</summary>
    public static byte[] WriteNews(BatchRecord batch) =>
        Write(batch.Errors.Count <= MaxErrorsInEvent ? batch : batch with { Errors = [.. batch.Errors.Take(MaxErrorsInEvent)] });

    public static void Write(Utf8JsonWriter json, BatchRecord batch)
    {
        json.WriteStartObject();
        json.WriteString("id", batch.Id);
        json.WriteString("object", "batch");
        json.WriteString("endpoint", batch.Endpoint);
        json.WriteString("model", batch.Model);
        WriteErrors(json, batch.Errors);
        json.WriteString("input_file_id", batch.InputFileId);
        json.WriteString("completion_window", "24h");
        json.WriteString("status", batch.Status);
        json.WriteString("output_file_id", batch.OutputFileId);
        json.WriteString("error_file_id", batch.ErrorFileId);
        json.WriteNumber("created_at", batch.CreatedAt.ToUnixTimeSeconds());
        Write(json, "in_progress_at", batch.InProgressAt);
        json.WriteNumber("expires_at", batch.ExpiresAt.ToUnixTimeSeconds());
        Write(json, "finalizing_at", batch.FinalizingAt);
        Write(json, "completed_at", batch.Status == BatchStatus.Completed ? batch.EndedAt : null);
        Write(json, "failed_at", batch.Status == BatchStatus.Failed ? batch.EndedAt : null);
        Write(json, "expired_at", batch.Status == BatchStatus.Expired ? batch.EndedAt : null);
        Write(json, "cancelling_at", batch.CancellingAt);
        Write(json, "cancelled_at", batch.Status == BatchStatus.Cancelled ? batch.EndedAt : null);
        json.WriteStartObject("request_counts");
        json.WriteNumber("total", batch.Total);
        json.WriteNumber("completed", batch.Done);
        json.WriteNumber("failed", batch.Failures);
        json.WriteEndObject();
        if (batch.Usage is { } usage) Write(json, usage);
        if (batch.Metadata is { } metadata)
        {
            json.WriteStartObject("metadata");
            foreach (var (name, value) in metadata) json.WriteString(name, value);
            json.WriteEndObject();
        }
        else
        {
            json.WriteNull("metadata");
        }
        json.WriteEndObject();
    }

    private static void WriteErrors(Utf8JsonWriter json, IReadOnlyList<BatchError> errors)
    {
        if (errors.Count == 0)
        {
            json.WriteNull("errors");
            return;
        }
        json.WriteStartObject("errors");
        json.WriteString("object", "list");
        json.WriteStartArray("data");
        foreach (var error in errors)
        {
            json.WriteStartObject();
            json.WriteString("code", error.Code);
            json.WriteString("message", error.Message);
            json.WriteString("param", error.Param);
            if (error.Line is { } line) json.WriteNumber("line", line);
            else json.WriteNull("line");
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, BatchUsage usage)
    {
        json.WriteStartObject("usage");
        json.WriteNumber("input_tokens", usage.InputTokens);
        json.WriteStartObject("input_tokens_details");
        json.WriteNumber("cached_tokens", usage.CachedTokens);
        json.WriteEndObject();
        json.WriteNumber("output_tokens", usage.OutputTokens);
        json.WriteStartObject("output_tokens_details");
        json.WriteNumber("reasoning_tokens", usage.ReasoningTokens);
        json.WriteEndObject();
        json.WriteNumber("total_tokens", usage.InputTokens + usage.OutputTokens);
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, string name, DateTimeOffset? at)
    {
        if (at is { } known) json.WriteNumber(name, known.ToUnixTimeSeconds());
        else json.WriteNull(name);
    }
}
