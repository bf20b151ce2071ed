using Fairlead.Access;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Files;
using Fairlead.Generations;
using Fairlead.Pipeline;
using Fairlead.Policies.Checking;
using Fairlead.Storage;

namespace Fairlead.Batches;

/// <summary>
/// Hands the lines of batches to the queue of jobs, a limited number at a time. A line in the queue was admitted and has reserved its worst
/// case, like every job. A line that can never be admitted is handed over too, and its run is refused.
/// </summary>
internal sealed class BatchFeeder(GatewayPipeline pipeline, BatchStore store, IFileContents contents, JobCalls calls,
    DialectRegistry dialects, HeldReservations held, JobSignal signal, IStorage storage, Configuration.IConfigurationSource configuration,
    TimeProvider time)
{
    /// <summary>Maximum lines of a batch that wait or run at once.</summary>
    public const int MaxOpen = 1000;

    private static readonly TimeSpan BudgetPause = TimeSpan.FromSeconds(5);

    private const int MaxLinesPerPortion = 250;
    private const int BytesOfPortion = 8 * 1024 * 1024;

    /// <summary>
    /// Feeds until <see cref="MaxOpen"/> lines are open, all are handed over, or another node has taken over the batch. Returns how long
    /// to wait if a line could not be admitted for now.
    /// </summary>
    public async Task<TimeSpan?> FeedAsync(BatchRecord batch, string owner, int open, Func<Task> alive, CancellationToken cancellationToken)
    {
        await calls.LoadCallerAsync(batch.KeyId, batch.ProjectId, cancellationToken);
        await using var lines = new JsonLines(contents.Open(batch.InputFileId, batch.FedOffset), batch.FedOffset,
            BatchLimits.MaxLineBytes(configuration.Current.Requests));
        while (batch.FedLines < batch.Total && open < MaxOpen)
        {
            var portion = new List<GenerationRecord>();
            var (fed, offset, bytes) = (batch.FedLines, batch.FedOffset, 0);
            TimeSpan? pause = null;
            // The queue is ordered by time and id, so that lines start in the order of the file.
            var now = time.GetUtcNow();
            try
            {
                while (portion.Count < MaxLinesPerPortion && open + portion.Count < MaxOpen && bytes < BytesOfPortion
                    && await lines.NextAsync(cancellationToken))
                {
                    var (line, fault) = BatchLine.Read(lines.Line.Span, batch.Endpoint, lines.Number);
                    if (fault is not null) throw new InvalidDataException($"The input file of {batch.Id} changed after it was checked.");
                    var record = RecordOf(batch, now, fed + 1, line, lines.Line.Slice(line.BodyStart, line.BodyLength).ToArray());
                    (pause, record) = await AdmitAsync(record, cancellationToken);
                    if (pause is not null) break;
                    portion.Add(record);
                    bytes += record.Request.Length;
                    fed++;
                    offset = lines.Offset;
                }
                if (portion.Count > 0)
                {
                    await alive();
                    if (!await store.FeedAsync(batch.Id, owner, portion, fed, offset, cancellationToken))
                    {
                        LetGo(portion);
                        return null;
                    }
                }
            }
            catch
            {
                LetGo(portion);
                throw;
            }
            if (portion.Count == 0 && pause is null)
                throw new InvalidDataException($"The input file of {batch.Id} ends before its last line.");
            open += portion.Count;
            batch = batch with { FedLines = fed, FedOffset = offset };
            signal.Wake();
            if (portion.Count > 0) storage.Notifier.Announce(JobNotices.Queued, portion[0].Id);
            if (pause is not null) return pause;
        }
        return null;
    }

    /// <summary>Why no line of this model can succeed, or null: checked before a batch starts.</summary>
    public async Task<BatchError?> TryModelAsync(BatchRecord batch, string model, byte[] body, CancellationToken cancellationToken)
    {
        await calls.LoadCallerAsync(batch.KeyId, batch.ProjectId, cancellationToken);
        var trial = RecordOf(batch, time.GetUtcNow(), 1, new BatchLine("", model, 0, 0), body);
        if (calls.CallerOf(batch.KeyId, batch.ProjectId) is not { } caller || calls.DialectOf(trial) is not { } dialect
            || calls.CallOf(trial, dialect, caller).Call is not { } call)
        {
            return null;
        }

        try
        {
            var refusal = await RefusalAsync(call, cancellationToken);
            held.Keep(trial.Id, call.Reservation);
            held.Release(trial.Id);
            return refusal is { Code: ErrorCode.ModelNotFound or ErrorCode.ModelNotAllowed or ErrorCode.ModelRetired } error
                ? new BatchError(error.Definition.Name, error.Message, "body.model", null) : null;
        }
        finally
        {
            call.Body.Dispose();
        }
    }

    /// <summary>
    /// Reserves what the job needs from its project; returns how long to wait if that is not possible for now, otherwise the job with what
    /// it holds, and with what a content policy left of its request.
    /// </summary>
    private async Task<(TimeSpan? Pause, GenerationRecord Record)> AdmitAsync(GenerationRecord record, CancellationToken cancellationToken)
    {
        GatewayCall? call;
        try
        {
            if (calls.CallerOf(record.KeyId, record.ProjectId) is not { } caller || calls.DialectOf(record) is not { } dialect)
                return (null, record);
            call = calls.CallOf(record, dialect, caller).Call;
        }
        catch (GatewayErrorException refused)
        {
            // There is not enough memory to examine it now.
            return (refused.Error.RetryAfter ?? TimeSpan.FromSeconds(1), record);
        }
        if (call is null) return (null, record);
        try
        {
            var refusal = await RefusalAsync(call, cancellationToken);
            if (refusal is null)
            {
                held.Keep(record.Id, call.Reservation);
                record = record with { Hold = JobHold.Of(call.Reservation) };
                if (CheckedInput.Of(call.Policy) is not { } policy) return (null, record);
                var request = call.Body.ToSharedArray();
                var context = record.Context with { Policy = policy };
                return (null, record with { Request = request, RequestBytes = request.Length, Context = context });
            }
            if (refusal is { Code: ErrorCode.BudgetExceeded, RetryAfter: { } reset })
            {
                // Other lines hold their worst case, and the budget may be enough for this one when they have ended.
                return (reset < BudgetPause ? reset : BudgetPause, record);
            }
            return (refusal.IsRetryable ? refusal.RetryAfter ?? TimeSpan.FromSeconds(5) : null, record);
        }
        finally
        {
            // A content policy may have replaced it.
            call.Body.Dispose();
        }
    }

    private async Task<GatewayError?> RefusalAsync(GatewayCall call, CancellationToken cancellationToken)
    {
        call.RunsLater = true;
        try
        {
            return await pipeline.AdmitAsync(call, cancellationToken) is GatewayReply.Refused refused ? refused.Error : null;
        }
        catch (GatewayErrorException refused)
        {
            return refused.Error;
        }
    }

    private GenerationRecord RecordOf(BatchRecord batch, DateTimeOffset now, int number, BatchLine line, byte[] body) => new()
    {
        Id = Ids.New("gen_", time),
        OrganizationId = batch.OrganizationId,
        ProjectId = batch.ProjectId,
        KeyId = batch.KeyId,
        RequestId = Ids.New("req_", time),
        Dialect = dialects.At(batch.Endpoint).Name,
        Endpoint = batch.Endpoint,
        Model = line.Model,
        Class = CallClasses.Bulk,
        Request = body,
        Context = RequestContext.Empty with { CustomId = line.CustomId },
        Batch = new BatchLinePosition(batch.Id, number),
        Status = GenerationStatus.Queued,
        CreatedAt = now,
        AvailableAt = now,
    };

    private void LetGo(List<GenerationRecord> portion)
    {
        foreach (var record in portion) held.Release(record.Id);
    }
}
