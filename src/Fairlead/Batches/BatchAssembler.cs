using System.Text.Json;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Files;
using Fairlead.Pipeline;
using Fairlead.Storage;

namespace Fairlead.Batches;

/// <summary>
/// Writes the output and error files of a batch without open lines. Every line of the input is in exactly one of the two: with its
/// response, with its error, or as one that did not start in time or before the batch was cancelled.
/// </summary>
internal sealed class BatchAssembler(BatchStore store, FileStore files, IFileContents contents,
    Configuration.IConfigurationSource configuration, TimeProvider time)
{
    private const int Page = 100;

    /// <summary>Writes both files and ends the batch. False when another node has taken it over.</summary>
    public async Task<bool> AssembleAsync(BatchRecord batch, string owner, Func<Task> alive, CancellationToken cancellationToken)
    {
        await using var output = FileOf(batch, "output");
        await using var errors = FileOf(batch, "error");
        var usage = BatchUsage.None;
        var (last, done, failures) = (0, 0, 0);
        while (await store.ResultsAsync(batch.Id, last, Page, cancellationToken) is { Count: > 0 } results)
        {
            foreach (var line in results)
            {
                if (line.ResultStatus < 400)
                {
                    done++;
                    usage += UsageOf(line.Details);
                    await output.WriteAsync(json => WriteAnswer(json, line), cancellationToken);
                }
                else
                {
                    failures++;
                    await errors.WriteAsync(json => WriteFailure(json, line, batch.Ending!), cancellationToken);
                }
                last = line.Line;
            }
            await alive();
        }
        if (batch.FedLines < batch.Total)
        {
            await WriteRestAsync(batch, errors, alive, cancellationToken);
            failures = batch.Total - done;
        }

        var made = new List<StoredFile>();
        if (await output.CompleteAsync(cancellationToken) is { } answers) made.Add(answers);
        if (await errors.CompleteAsync(cancellationToken) is { } failed) made.Add(failed);
        var end = batch with
        {
            Status = batch.Ending!,
            EndedAt = time.GetUtcNow(),
            OutputFileId = output.File?.Id,
            ErrorFileId = errors.File?.Id,
            Done = done,
            Failures = failures,
            Usage = usage,
        };
        try
        {
            output.IsKept = errors.IsKept = await store.EndAsync(end, owner, made, cancellationToken);
        }
        catch (UnknownCommitException)
        {
            // The batch may have ended with these files. If not, no one can find them, and they expire.
            output.IsKept = errors.IsKept = true;
            throw;
        }
        return output.IsKept;
    }

    /// <summary>Lists the lines that were never handed to the queue.</summary>
    private async Task WriteRestAsync(BatchRecord batch, BatchFile errors, Func<Task> alive, CancellationToken cancellationToken)
    {
        try
        {
            await using var rest = new JsonLines(contents.Open(batch.InputFileId, batch.FedOffset), batch.FedOffset,
                BatchLimits.MaxLineBytes(configuration.Current.Requests));
            for (var left = batch.Total - batch.FedLines; left > 0 && await rest.NextAsync(cancellationToken); left--)
            {
                var (line, _) = BatchLine.Read(rest.Line.Span, batch.Endpoint, rest.Number);
                await errors.WriteAsync(json => WriteNotRun(json, Ids.New("", time), line.CustomId ?? "", batch.Ending!),
                    cancellationToken);
                if (left % 1000 == 0) await alive();
            }
        }
        catch (FileNotFoundException)
        {
            // The content was lost from the disk. The batch ends nevertheless, and its counts state how many lines there were.
        }
    }

    private static void WriteAnswer(Utf8JsonWriter json, BatchLineResult line)
    {
        Begin(json, line.GenerationId, line.CustomId);
        WriteResponse(json, line);
        json.WriteNull("error");
        json.WriteEndObject();
    }

    private static void WriteFailure(Utf8JsonWriter json, BatchLineResult line, string ending)
    {
        if (line.Status == GenerationStatus.Cancelled && ending != BatchStatus.Completed)
        {
            WriteNotRun(json, line.GenerationId, line.CustomId, ending);
            return;
        }
        Begin(json, line.GenerationId, line.CustomId);
        WriteResponse(json, line);
        json.WriteNull("error");
        json.WriteEndObject();
    }

    private static void WriteNotRun(Utf8JsonWriter json, string id, string customId, string ending)
    {
        Begin(json, id, customId);
        json.WriteNull("response");
        json.WriteStartObject("error");
        json.WriteString("code", ending == BatchStatus.Expired ? "batch_expired" : "batch_cancelled");
        json.WriteString("message", ending == BatchStatus.Expired
            ? "This request could not be executed before the completion window expired."
            : "This request was not executed because the batch was cancelled.");
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void Begin(Utf8JsonWriter json, string id, string customId)
    {
        json.WriteStartObject();
        json.WriteString("id", string.Concat("batch_req_", id.AsSpan(id.IndexOf('_', StringComparison.Ordinal) + 1)));
        json.WriteString("custom_id", customId);
    }

    private static void WriteResponse(Utf8JsonWriter json, BatchLineResult line)
    {
        json.WriteStartObject("response");
        json.WriteNumber("status_code", line.ResultStatus);
        json.WriteString("request_id", line.RequestId);
        json.WritePropertyName("body");
        json.WriteRawValue(OneLine(line.Result), skipInputValidation: true);
        json.WriteEndObject();
    }

    // Line ends occur only between the tokens of JSON, never in them (RFC 8259, section 7).
    private static ReadOnlySpan<byte> OneLine(byte[] body)
    {
        if (body.AsSpan().IndexOfAny((byte)'\n', (byte)'\r') < 0) return body;
        var copy = body.ToArray();
        copy.AsSpan().Replace((byte)'\n', (byte)' ');
        copy.AsSpan().Replace((byte)'\r', (byte)' ');
        return copy;
    }

    private static BatchUsage UsageOf(byte[]? details)
    {
        if (details is null) return BatchUsage.None;
        using var document = JsonDocument.Parse(details);
        if (!document.RootElement.TryGetProperty("usage", out var usage) || usage.ValueKind != JsonValueKind.Object) return BatchUsage.None;
        return new BatchUsage(Number("input_tokens"), Number("cached_input_tokens"), Number("output_tokens"), Number("reasoning_tokens"));

        long Number(string name) => usage.TryGetProperty(name, out var value) && value.TryGetInt64(out var number) ? number : 0;
    }

    private BatchFile FileOf(BatchRecord batch, string kind) =>
        new(files, contents, time, batch, $"{batch.Id}_{kind}.jsonl", batch.OutputTtl ?? configuration.Current.Files.Ttl);
}
