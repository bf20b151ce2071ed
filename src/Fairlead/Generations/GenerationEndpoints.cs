using System.Globalization;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.Conversation;
using Fairlead.Delivery;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Fairlead.Generations;

/// <summary>Reads, waits for and cancels generations that outlive their request. A key sees those of its project.</summary>
internal sealed class GenerationEndpoints(
    ICallerSource callers,
    IStorage storage,
    IGenerationStore store,
    GenerationEndFactory ends,
    JobCalls calls,
    GenerationWriter writer,
    KeptStreams streams,
    DrainState drain,
    MemoryBudget memory,
    TimeProvider time,
    ILogger<GenerationEndpoints> logger)
{
    private const int LongestWaitSeconds = 60;
    private const int MostListed = 100;

    // Notices may be lost; then the row itself is looked at.
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(1);

    public Task GetAsync(HttpContext context, string id) => ServeAsync(context, async caller =>
    {
        var query = new QueryReader(context.Request.Query, "wait");
        var wait = Number(query, "wait", 0, 0, LongestWaitSeconds);
        if (query.Error is { } fault) return fault;
        if (await AwaitAsync(caller, id, wait, context.RequestAborted) is not { } record) return NotFound(id);
        if (!record.IsFinal) context.Response.Headers.RetryAfter = "1";
        return await AnswerAsync(context, caller, record) ? null : NotFound(id);
    });

    public Task ResultAsync(HttpContext context, string id) => ServeAsync(context, async caller =>
    {
        var query = new QueryReader(context.Request.Query, "wait");
        var wait = Number(query, "wait", 0, 0, LongestWaitSeconds);
        if (query.Error is { } fault) return fault;
        if (await AwaitAsync(caller, id, wait, context.RequestAborted) is not { } record) return NotFound(id);
        if (!record.IsFinal)
        {
            context.Response.Headers.RetryAfter = "1";
            return new GatewayError(ErrorCode.Conflict, $"The generation is {record.Status.ToWire()} and has no result yet.") { Remedy = "Ask again after Retry-After, or with ?wait=60." };
        }
        using var held = new MemoryLease(memory.ShareOf(caller.KeyId));
        if (await store.FindAsync(caller.ProjectId, id, GenerationBodies.Result, held.Count, context.RequestAborted) is not { } whole) return NotFound(id);
        record = whole;
        context.Response.StatusCode = record.ResultStatus;
        context.Response.ContentType = record.ResultStatus < 400 ? "application/json" : ErrorBodyWriter.ContentTypeOf(calls.ShapeOf(record.Dialect));
        context.Response.Headers.CacheControl = "no-store";
        context.Response.Headers["Fairlead-Generation"] = record.Id;
        context.Response.ContentLength = record.Result?.Length ?? 0;
        await LargeBody.WriteAsync(context.Response.BodyWriter, record.Result, context.RequestAborted);
        return null;
    });

    public Task EventsAsync(HttpContext context, string id) => ServeAsync(context, async caller =>
    {
        var query = new QueryReader(context.Request.Query, "after");
        if (query.Error is { } fault) return fault;
        var (after, wrong) = KeptStreams.AfterOf(context, "after");
        if (wrong is not null) return wrong;
        GenerationRecord? record;
        GatewayCall? view;
        // Until the view counts what it holds.
        using (var held = new MemoryLease(memory.ShareOf(caller.KeyId)))
        {
            record = await store.FindAsync(caller.ProjectId, id, GenerationBodies.Request, held.Count, context.RequestAborted);
            view = record is null ? null : calls.ViewOf(record, caller);
        }
        if (record is null || view is null) return NotFound(id);
        using (view.Body)
        {
            var shown = new TypedEventsView(view, record);
            await streams.RelayAsync(new HttpExchange(context, time), view, record with { Request = [] }, shown, after);
        }
        return null;
    });

    public Task ListAsync(HttpContext context) => ServeAsync(context, async caller =>
    {
        var query = new QueryReader(context.Request.Query, "limit", "cursor", "status", "model", "created_after", "created_before");
        var limit = Number(query, "limit", 20, 1, MostListed);
        var status = query.OneOf("status", GenerationStatusNames.All);
        var model = query.Text("model");
        var (after, before) = (query.Time("created_after"), query.Time("created_before"));
        var cursor = query.Text("cursor");
        if (cursor is not null && (cursor.Length != 30 || !cursor.StartsWith("gen_", StringComparison.Ordinal) || !cursor.Skip(4).All(char.IsAsciiLetterOrDigit)))
            query.Fault("cursor", "It is not a next_cursor of this list.");
        if (query.Error is { } fault) return fault;
        var filter = new GenerationFilter(caller.ProjectId, status is null ? null : GenerationStatusNames.Parse(status), model, cursor, limit + 1) { CreatedAfter = after, CreatedBefore = before };
        var rows = await store.ListAsync(filter, context.RequestAborted);

        Head(context);
        await using (var json = new Utf8JsonWriter(context.Response.BodyWriter, ErrorBodyWriter.WriterOptions))
        {
            json.WriteStartObject();
            json.WriteStartArray("data");
            foreach (var row in rows.Take(limit)) writer.Write(json, row);
            json.WriteEndArray();
            json.WriteString("next_cursor", rows.Count > limit ? rows[limit - 1].Id : null);
            json.WriteEndObject();
        }
        await context.Response.BodyWriter.FlushAsync(context.RequestAborted);
        return null;
    });

    public Task CancelAsync(HttpContext context, string id) => ServeAsync(context, async caller =>
    {
        if (await store.FindAsync(caller.ProjectId, id, context.RequestAborted) is not { } record) return NotFound(id);
        var (outcome, error) = CallOutcome.Of(CancellationReason.Requested);
        var before = await store.CancelAsync(caller.ProjectId, id, ends.WithoutRun(record, outcome, error), CancellationToken.None);
        if (before is null) return NotFound(id);
        if (before == GenerationStatus.Queued) storage.Notifier.Announce(JobNotices.Changed, id);
        if (before == GenerationStatus.InProgress) storage.Notifier.Announce(JobNotices.Cancel, id);
        if (await store.FindAsync(caller.ProjectId, id, context.RequestAborted) is not { } now) return NotFound(id);
        return await AnswerAsync(context, caller, now) ? null : NotFound(id);
    });

    private async Task ServeAsync(HttpContext context, Func<Caller, Task<GatewayError?>> serve)
    {
        var authentication = callers.Authenticate(context, Scopes.Chat);
        if (authentication.Caller is not { } caller)
        {
            await ErrorResponses.WriteAsync(context, authentication.Error!, ErrorShape.Problem);
            return;
        }
        GatewayError? error;
        try
        {
            error = await serve(caller);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            return;
        }
        catch (MemoryExhaustedException exhausted) when (!context.Response.HasStarted)
        {
            error = exhausted.Error;
        }
        catch (Exception exception) when (StorageFaults.IsStoreFault(exception) && !context.Response.HasStarted)
        {
            JobsLog.StoreUnavailable(logger, StorageFaults.Describe(exception));
            error = new GatewayError(ErrorCode.StoreUnavailable, "The database of the generations cannot be read now.") { RetryAfter = TimeSpan.FromSeconds(5) };
        }
        if (error is not null) await ErrorResponses.WriteAsync(context, error, ErrorShape.Problem);
    }

    private async Task<GenerationRecord?> AwaitAsync(Caller caller, string id, int seconds, CancellationToken cancellationToken)
    {
        var since = time.GetTimestamp();
        var heard = new AsyncSignal();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, drain.Over);
        using var notices = seconds > 0 ? storage.Notifier.Subscribe(JobNotices.Changed, subject =>
        {
            if (subject is null || subject == id) heard.Set();
        }) : null;
        while (true)
        {
            var changed = heard.Next;
            // Without its bodies, which may be large and are read once it has ended.
            var record = await store.FindAsync(caller.ProjectId, id, cancellationToken);
            var left = TimeSpan.FromSeconds(seconds) - time.GetElapsedTime(since);
            if (record is null || record.IsFinal || left <= TimeSpan.Zero || drain.Over.IsCancellationRequested) return record;
            try
            {
                await changed.WaitAsync(left < Look ? left : Look, time, stop.Token);
            }
            catch (TimeoutException)
            {
                // Time for a look of our own.
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                // This process makes nothing any more that could be waited for. The last look is the answer.
            }
        }
    }

    /// <summary>False when it is no longer there.</summary>
    /// <exception cref="MemoryExhaustedException">There is no memory for what came of it.</exception>
    private async Task<bool> AnswerAsync(HttpContext context, Caller caller, GenerationRecord head)
    {
        using var held = new MemoryLease(memory.ShareOf(caller.KeyId));
        if (await store.FindAsync(caller.ProjectId, head.Id, GenerationBodies.Result, held.Count, context.RequestAborted) is not { } record) return false;
        // As an object again, and as it is written.
        held.Count(2L * (record.Details?.Length ?? 0));
        Head(context);
        context.Response.Headers["Fairlead-Generation"] = record.Id;
        await writer.WriteAsync(context.Response.BodyWriter, record, context.RequestAborted);
        await context.Response.BodyWriter.FlushAsync(context.RequestAborted);
        return true;
    }

    private static void Head(HttpContext context)
    {
        RequestIds.Of(context);
        context.Response.ContentType = "application/json";
        context.Response.Headers.CacheControl = "no-store";
    }

    private static int Number(QueryReader query, string name, int otherwise, int least, int most)
    {
        if (query.Text(name) is not { } text) return otherwise;
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var value) && value >= least && value <= most) return value;
        query.Fault(name, string.Create(CultureInfo.InvariantCulture, $"It is a whole number from {least} to {most}."));
        return otherwise;
    }

    private static GatewayError NotFound(string id) =>
        new(ErrorCode.NotFound, id.Length is > 0 and <= 64 ? $"There is no generation '{id}'; it may have expired, or was not one that is kept." : "There is no such generation.");
}
