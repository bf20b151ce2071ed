using System.Data.Common;
using System.Text.Json;
using Fairlead.Configuration;
using Fairlead.Erasure;
using Fairlead.Files;
using Fairlead.Pipeline;
using Fairlead.Storage;

namespace Fairlead.Batches;

/// <summary>
/// Batches in erasures. Those of a key or a project are cancelled, and lose their files, errors and metadata. In other batches, the lines
/// of the selected calls are overwritten in the input, output and error files: all other lines, the lengths of the files and the counts of
/// the batch stay. Thread-safe.
/// </summary>
internal sealed class ErasableBatches(
    IStorage storage, BatchStore store, FileStore files, IFileContents contents, IConfigurationSource configuration) : IErasable
{
    private const char Waits = '!';

    /// <summary>Starts the cursor when the batches are done: files follow that no batch reads.</summary>
    private const string Inputs = "inputs:";

    private const int PageLines = 100;

    private const string MessagesEndpoint = "/v1/messages";

    private static readonly TimeSpan OpenPause = TimeSpan.FromSeconds(1);

    public string Name => "batches";

    public int Order => 300;

    public IReadOnlyList<string> Tables { get; } = ["batches", "files", "file_chunks"];

    public async Task<ErasureStep> EraseAsync(ErasureTarget target, string cursor, CancellationToken cancellationToken)
    {
        if (cursor.StartsWith(Inputs, StringComparison.Ordinal)) return await EraseInputAsync(target, cursor[Inputs.Length..], cancellationToken);
        var (waits, after) = (cursor.StartsWith(Waits), cursor.TrimStart(Waits));
        if (await NextAsync(target, after, cancellationToken) is not { } batch)
            return waits ? new ErasureStep(0, "", OpenPause) : new ErasureStep(0, target.Kind == ErasureKind.EndUser ? Inputs : null);
        var erased = 0;
        if (target.Kind is ErasureKind.Key or ErasureKind.Project)
        {
            if (batch.HasEnded) erased = await EraseWholeAsync(batch, target, cancellationToken);
            else waits |= await CancelAsync(batch, cancellationToken);
        }
        // Its lines are compared with each other at this moment, or its results are written to files that it does not name yet. Once it has
        // ended it is looked at again.
        else if (!batch.HasEnded && batch.Status != BatchStatus.InProgress) waits = true;
        else erased = await EraseLinesAsync(batch, target, cancellationToken);
        return new ErasureStep(erased, (waits ? Waits.ToString() : "") + batch.Id);
    }

    private async Task<Found?> NextAsync(ErasureTarget target, string after, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        var condition = (target.Kind == ErasureKind.Key ? "key_id = @target AND " : "") + target.ScopeOf("project_id");
        return await connection.FirstOrDefaultAsync(
            $"""
            SELECT id, project_id, endpoint, status, input_file_id, output_file_id, error_file_id, ended_at FROM batches
            WHERE id > @after AND created_at <= @until AND {condition} ORDER BY id LIMIT 1
            """,
            [("@after", after), ("@target", target.Selector.TargetId), .. target.ScopeValues],
            row => new Found(
                row.Text("id"), row.Text("project_id"), row.Text("endpoint"), row.Text("status"), !row.IsNull("ended_at"),
                row.Text("input_file_id"), row.TextOrNull("output_file_id"), row.TextOrNull("error_file_id")),
            cancellationToken);
    }

    // A file that was uploaded for a batch, which was never made, or is not known any more.
    private async Task<ErasureStep> EraseInputAsync(ErasureTarget target, string after, CancellationToken cancellationToken)
    {
        string? file;
        await using (var connection = await storage.OpenAsync(cancellationToken))
        {
            file = await connection.TextAsync(
                $"""
                SELECT id FROM files WHERE id > @after AND created_at <= @until AND purpose = 'batch' AND status = 'ready'
                    AND {target.ScopeOf("project_id")} AND NOT EXISTS (SELECT 1 FROM batches WHERE input_file_id = files.id)
                ORDER BY id LIMIT 1
                """,
                [("@after", after), .. target.ScopeValues], cancellationToken);
        }
        if (file is null) return new ErasureStep(0, null);
        var erased = 0;
        await ForEachAsync(file, target, async (line, offset) =>
        {
            if (!RequestEndUser.IsNamedIn(line.Span, target.Selector)) return;
            erased += await OverwriteAsync(file, offset, line.Length, json => WriteRequest(json, MessagesEndpoint), cancellationToken);
        }, cancellationToken);
        return new ErasureStep(erased, Inputs + file);
    }

    private async Task<bool> CancelAsync(Found batch, CancellationToken cancellationToken)
    {
        await store.CancelAsync(batch.ProjectId, batch.Id, cancellationToken);
        storage.Notifier.Announce(BatchNotices.Changed, batch.Id);
        return true;
    }

    private async Task<int> EraseWholeAsync(Found batch, ErasureTarget target, CancellationToken cancellationToken)
    {
        var erased = 0;
        await using var connection = await storage.OpenAsync(cancellationToken);
        foreach (var file in (string?[])[batch.OutputFileId, batch.ErrorFileId, batch.InputFileId])
        {
            if (file is null || (file == batch.InputFileId && await IsSharedAsync(connection, batch, target, cancellationToken))) continue;
            if (await connection.Int64Async("SELECT 1 FROM files WHERE id = @id", [("@id", file)], cancellationToken) is null) continue;
            await contents.DeleteAsync(file, cancellationToken);
            await files.ForgetAsync(file, cancellationToken);
            erased = 1;
        }
        var changed = await storage.WriteAsync(
            connection,
            """
            UPDATE batches SET metadata = NULL, errors = NULL, idempotency_key = NULL
            WHERE id = @id AND (metadata IS NOT NULL OR errors IS NOT NULL OR idempotency_key IS NOT NULL)
            """,
            [("@id", batch.Id)], cancellationToken);
        return Math.Max(erased, changed);
    }

    // Another batch reads it, or it is the input of a batch that is not erased.
    private static async Task<bool> IsSharedAsync(
        DbConnection connection, Found batch, ErasureTarget target, CancellationToken cancellationToken) =>
        await connection.Int64Async(
            $"""
            SELECT 1 FROM batches WHERE input_file_id = @file AND id <> @id
                AND (ended_at IS NULL OR created_at > @until{(target.Kind == ErasureKind.Key ? " OR key_id <> @key" : "")}) LIMIT 1
            """,
            [("@file", batch.InputFileId), ("@id", batch.Id), ("@until", target.Until), ("@key", target.Selector.TargetId)],
            cancellationToken) is not null;

    private async Task<int> EraseLinesAsync(Found batch, ErasureTarget target, CancellationToken cancellationToken)
    {
        // 1. The names of the lines: by their end user in the input, and by their generation in the results.
        var names = new HashSet<string>(StringComparer.Ordinal);
        var hasUnnamed = false;
        if (target.Kind == ErasureKind.EndUser)
        {
            await ForEachAsync(batch.InputFileId, target, (line, _) =>
            {
                if (IsOfEndUser(batch, line, target.Selector) is { } name) names.Add(name);
                else hasUnnamed |= IsFaultyOfEndUser(batch.Endpoint, line, target.Selector);
                return Task.CompletedTask;
            }, cancellationToken);
        }
        string?[] results = [batch.OutputFileId, batch.ErrorFileId];
        foreach (var file in results) await FindAsync(file, target, names, cancellationToken);
        if (names.Count == 0 && !hasUnnamed) return 0;

        // 2. The results first: once the input is overwritten, nothing names their lines.
        var erased = 0;
        foreach (var file in results)
        {
            await ForEachAsync(file, target, async (line, offset) =>
            {
                if (ResultOf(line) is not { Name: { } name } result || !names.Contains(name)) return;
                erased += await OverwriteAsync(file!, offset, line.Length, json => WriteResult(json, result.Id ?? ""), cancellationToken);
            }, cancellationToken);
        }
        var requests = 0;
        await ForEachAsync(batch.InputFileId, target, async (line, offset) =>
        {
            var (parsed, fault) = BatchLine.Read(line.Span, batch.Endpoint, 1);
            if (fault is null ? !names.Contains(parsed.CustomId)
                : !hasUnnamed || !RequestEndUser.IsNamedIn(line.Span, target.Selector)) return;
            requests += await OverwriteAsync(
                batch.InputFileId, offset, line.Length, json => WriteRequest(json, batch.Endpoint), cancellationToken);
        }, cancellationToken);
        return Math.Max(requests, erased);
    }

    private async Task FindAsync(string? file, ErasureTarget target, HashSet<string> names, CancellationToken cancellationToken)
    {
        var page = new List<(string Generation, string Name)>(PageLines);
        await ForEachAsync(file, target, async (line, _) =>
        {
            if (ResultOf(line) is not { Id: { } id, Name: { } name }) return;
            page.Add((string.Concat("gen_", id.AsSpan(id.LastIndexOf('_') + 1)), name));
            if (page.Count == PageLines) await LookAsync();
        }, cancellationToken);
        if (page.Count > 0) await LookAsync();

        async Task LookAsync()
        {
            await using var connection = await storage.OpenAsync(cancellationToken);
            var selected = await target.WhichAsync(connection, page.Select(line => line.Generation), cancellationToken);
            names.UnionWith(page.Where(line => selected.Contains(line.Generation)).Select(line => line.Name));
            page.Clear();
        }
    }

    private async Task ForEachAsync(
        string? file, ErasureTarget target, Func<ReadOnlyMemory<byte>, long, Task> use, CancellationToken cancellationToken)
    {
        if (file is null) return;
        try
        {
            // An output line has its request's body in it at most once, and some members around it.
            await using var lines = new JsonLines(contents.Open(file), 0, 2 * BatchLimits.MaxLineBytes(configuration.Current.Requests));
            while (await lines.NextAsync(cancellationToken))
            {
                if (!lines.IsTooLong) await use(lines.Line, lines.LineOffset);
                await target.KeepAliveAsync();
            }
        }
        catch (FileNotFoundException)
        {
            // It was deleted, or has expired.
        }
    }

    private async Task<int> OverwriteAsync(
        string file, long offset, int length, Action<Utf8JsonWriter> write, CancellationToken cancellationToken)
    {
        var line = new System.Buffers.ArrayBufferWriter<byte>(256);
        using (var json = new Utf8JsonWriter(line)) write(json);
        var bytes = new byte[length];
        bytes.AsSpan().Fill((byte)' ');
        // A line is at least as long as what replaces it; if a later version writes shorter ones, blanks are better than content.
        if (line.WrittenCount <= length) line.WrittenSpan.CopyTo(bytes);
        await contents.OverwriteAsync(file, offset, bytes, cancellationToken);
        return 1;
    }

    private static string? IsOfEndUser(Found batch, ReadOnlyMemory<byte> line, ErasureSelector selector)
    {
        var (parsed, fault) = BatchLine.Read(line.Span, batch.Endpoint, 1);
        if (fault is not null) return null;
        var body = line.Span.Slice(parsed.BodyStart, parsed.BodyLength);
        return selector.IsEndUser(RequestEndUser.Of(body, batch.Endpoint == MessagesEndpoint)) ? parsed.CustomId : null;
    }

    // Nobody ran such a line, but it is in the file.
    private static bool IsFaultyOfEndUser(string endpoint, ReadOnlyMemory<byte> line, ErasureSelector selector) =>
        BatchLine.Read(line.Span, endpoint, 1).Fault is not null && RequestEndUser.IsNamedIn(line.Span, selector);

    private static (string? Id, string? Name)? ResultOf(ReadOnlyMemory<byte> line)
    {
        try
        {
            var json = new Utf8JsonReader(line.Span, new JsonReaderOptions { MaxDepth = 1024 });
            string? id = null, name = null;
            if (!json.Read() || json.TokenType != JsonTokenType.StartObject) return null;
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                var member = json.ValueTextEquals("id"u8) ? 1 : json.ValueTextEquals("custom_id"u8) ? 2 : 0;
                json.Read();
                if (member == 1 && json.TokenType == JsonTokenType.String) id = json.GetString();
                else if (member == 2 && json.TokenType == JsonTokenType.String) name = json.GetString();
                else json.Skip();
                // They come first.
                if (id is not null && name is not null) break;
            }
            return (id, name);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return null;
        }
    }

    // Valid as a line, so that a batch that still runs goes on with the next one. The request in it is not, so it fails.
    private static void WriteRequest(Utf8JsonWriter json, string endpoint)
    {
        json.WriteStartObject();
        json.WriteString("custom_id", "-");
        json.WriteString("method", "POST");
        json.WriteString("url", endpoint);
        json.WriteStartObject("body");
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteResult(Utf8JsonWriter json, string id)
    {
        json.WriteStartObject();
        json.WriteString("id", id);
        json.WriteNull("custom_id");
        json.WriteNull("response");
        json.WriteStartObject("error");
        json.WriteString("code", "erased");
        json.WriteString("message", "Erased.");
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private sealed record Found(
        string Id, string ProjectId, string Endpoint, string Status, bool HasEnded, string InputFileId, string? OutputFileId, string? ErrorFileId);
}
