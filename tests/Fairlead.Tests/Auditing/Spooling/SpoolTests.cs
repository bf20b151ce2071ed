using System.Text;
using System.Text.Json.Nodes;
using Fairlead.Auditing;
using Fairlead.Auditing.Records;
using Fairlead.Auditing.Spooling;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Auditing.Spooling;

public sealed class SpoolTests : IDisposable
{
    private readonly TemporarySpool _temporary = new();

    public void Dispose() => _temporary.Dispose();

    [Fact]
    public async Task Append_SeveralRecords_ReadBackInOrder()
    {
        var spool = _temporary.Open();
        var call = RecordedCalls.New();
        var attempt = call.Try();
        await spool.AttemptStartedAsync(call, attempt);
        attempt.Meter.AddOutput(401);
        spool.AttemptProgressed(call, attempt);
        await spool.CallEndedAsync(call.End(), 200);

        var entries = TemporarySpool.ReadAll(spool.Folder);
        Assert.Equal([SpoolRecordType.AttemptStarted, SpoolRecordType.AttemptProgressed, SpoolRecordType.CallEnded], entries.Select(e => e.Type));
        Assert.Equal([0L, 0L, 1L], entries.Select(e => e.Sequence));
        Assert.Equal(101, (long)JsonNode.Parse(entries[1].Payload)!["usage"]!["output_tokens"]!);
    }

    [Fact]
    public async Task CallEnded_Completed_RecordHasEveryField()
    {
        var spool = _temporary.Open();
        var call = RecordedCalls.New();
        call.Try();
        await spool.CallEndedAsync(call.End(output: 10), 200);

        var record = JsonNode.Parse(Assert.Single(TemporarySpool.ReadAll(spool.Folder)).Payload)!.AsObject();
        Assert.Equal(
            ["id", "at", "request_id", "generation_id", "organization_id", "project_id", "key_id", "address", "endpoint", "dialect", "model_requested", "model", "provider",
             "parameters", "prompt", "policy", "attempts", "usage", "cost_usd", "outcome", "error_code", "status", "timing_ms", "content"],
            record.Select(member => member.Key));
        Assert.Equal("aud_" + call.GenerationId[4..], (string?)record["id"]);
        Assert.Equal("192.0.2.7", (string?)record["address"]);
        Assert.Equal("complete", (string?)record["outcome"]);
        Assert.Equal(0.00028m, (decimal)record["cost_usd"]!);
        Assert.Equal("0.00028", record["cost_usd"]!.ToJsonString());
        var attempt = Assert.Single(record["attempts"]!.AsArray())!;
        Assert.Equal("acme/large-1", (string?)attempt["deployment"]);
        Assert.Equal("measured", (string?)attempt["usage"]!["basis"]);
        Assert.Null(record["content"]);
    }

    [Fact]
    public async Task CallEnded_HugeClientTexts_AreTruncated()
    {
        var spool = _temporary.Open(segmentBytes: 512 * 1024);
        var call = RecordedCalls.New(model: "x" + string.Concat(Enumerable.Repeat("\U0001F600", 200_000)));
        call.Facts.ReasoningEffort = new string('"', 1_000_000);
        call.Model = null!;
        await spool.CallEndedAsync(call.End(outcome: Outcome.Failed, error: GatewayError.ModelNotFound("x")), 404);

        var entry = Assert.Single(TemporarySpool.ReadAll(spool.Folder));
        Assert.True(entry.Payload.Length < 4096);
        var record = JsonNode.Parse(entry.Payload)!;
        Assert.Equal("model_not_found", (string?)record["error_code"]);
        Assert.Null(record["model"]);
        Assert.DoesNotContain('\uFFFD', (string)record["model_requested"]!);
    }

    [Fact]
    public async Task Append_ConcurrentWriters_StoresEachRecordOnceWithoutSequenceGaps()
    {
        var spool = _temporary.Open(segmentBytes: 16 * 1024);
        await Parallel.ForAsync(0, 8, TestContext.Current.CancellationToken, async (_, _) =>
        {
            for (var i = 0; i < 200; i++)
            {
                var call = RecordedCalls.New();
                await spool.AttemptStartedAsync(call, call.Try());
                await spool.CallEndedAsync(call.End(), 200);
            }
        });
        var entries = TemporarySpool.ReadAll(spool.Folder);
        Assert.Equal(3200, entries.Count);
        Assert.Equal(Enumerable.Range(1, 1600).Select(i => (long)i), entries.Where(e => e.Type == SpoolRecordType.CallEnded).Select(e => e.Sequence));
        Assert.True(spool.Folder.Segments().Length > 10);
    }

    [Fact]
    public async Task Append_FsyncWithConcurrentWriters_StoresAllRecords()
    {
        var spool = _temporary.Open(segmentBytes: 16 * 1024, AuditDurability.Fsync);
        await Parallel.ForAsync(0, 4, TestContext.Current.CancellationToken, async (_, _) =>
        {
            for (var i = 0; i < 25; i++)
            {
                var call = RecordedCalls.New();
                await spool.AttemptStartedAsync(call, call.Try());
                await spool.CallEndedAsync(call.End(), 200);
            }
        });
        Assert.Equal(200, TemporarySpool.ReadAll(spool.Folder).Count);
    }

    [Fact]
    public void Open_FolderInUse_CreatesAnotherNode()
    {
        var first = _temporary.Open();
        var second = _temporary.Open();
        Assert.NotEqual(first.Folder.Node, second.Folder.Node);
        Assert.Empty(second.Adopted);
    }

    [Fact]
    public async Task Open_ReleasedFolder_IsReusedAndContinuesSequence()
    {
        var first = _temporary.Open();
        await first.CallEndedAsync(RecordedCalls.New().End(), 200);
        var (node, segment) = (first.Folder.Node, first.FirstSegment);
        first.Dispose();

        var second = _temporary.Open();
        Assert.Equal(node, second.Folder.Node);
        Assert.True(second.FirstSegment > segment);
        await second.CallEndedAsync(RecordedCalls.New().End(), 200);
        Assert.Equal([1L, 2L], TemporarySpool.ReadAll(second.Folder).Select(e => e.Sequence));
    }

    [Fact]
    public void Open_FoldersOfStoppedNodes_AreAdopted()
    {
        var first = _temporary.Open();
        var second = _temporary.Open();
        var nodes = new[] { first.Folder.Node, second.Folder.Node };
        first.Dispose();
        second.Dispose();

        var third = _temporary.Open();
        Assert.Equal(nodes.Order(), third.Adopted.Select(folder => folder.Node).Append(third.Folder.Node).Order());
    }

    [Fact]
    public void Open_FolderCannotBeCreated_ThrowsSpoolUnavailable()
    {
        var file = Path.GetTempFileName();
        try
        {
            var e = Assert.Throws<SpoolUnavailableException>(() => new Spool(new SpoolOptions(Path.Combine(file, "spool")), TimeProvider.System, NullLogger<Spool>.Instance));
            Assert.Contains("data directory", e.Message, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public async Task Disk_Failing_RefusesStartsAndQueuesEndsUntilItRecovers()
    {
        var spool = _temporary.Open(segmentBytes: 4096);
        var running = RecordedCalls.New();
        await spool.AttemptStartedAsync(running, running.Try());
        // A folder that is gone fails every new segment, as a full disk does.
        var away = spool.Folder.Path + "-away";
        await SegmentInAdvance(spool);
        Directory.Move(spool.Folder.Path, away);
        SpoolUnavailableException? refused = null;
        for (var i = 0; i < 50 && refused is null; i++)
        {
            var call = RecordedCalls.New();
            try
            {
                await spool.AttemptStartedAsync(call, call.Try());
            }
            catch (SpoolUnavailableException e)
            {
                refused = e;
            }
        }
        Assert.NotNull(refused);
        Assert.Equal(ErrorCode.StoreUnavailable, refused.Error.Code);
        for (var i = 0; i < 10; i++) await spool.CallEndedAsync(RecordedCalls.New().End(), 200);
        await spool.CallEndedAsync(running.End(), 200);
        Assert.True(spool.Waiting > 0);

        Directory.Move(away, spool.Folder.Path);
        // A segment that the background task was creating when the folder disappeared may fail once more. Retry, as the shipper does.
        while (spool.Waiting > 0)
        {
            TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
            spool.RetryWrites();
            await Task.Yield();
        }
        var ended = TemporarySpool.ReadAll(spool.Folder).Where(e => e.Type == SpoolRecordType.CallEnded).ToArray();
        Assert.Equal(11, ended.Length);
        Assert.Contains(ended, e => Encoding.UTF8.GetString(e.Payload).Contains(running.GenerationId, StringComparison.Ordinal));
        var next = RecordedCalls.New();
        await spool.AttemptStartedAsync(next, next.Try());
    }

    [Fact]
    public void Checkpoint_ProviderReportedOnlyInput_CountsGeneratedOutput()
    {
        var call = RecordedCalls.New();
        var attempt = call.Try();
        Assert.Equal(new Usage(100, 0) { Basis = Basis.Estimated }, Checkpoint.UsageOf(call, attempt));
        attempt.Meter.ReportUsage(new Usage(123, 1) { CachedInputTokens = 50 });
        attempt.Meter.AddOutput(41);
        Assert.Equal(new Usage(123, 11) { CachedInputTokens = 50, Basis = Basis.Estimated }, Checkpoint.UsageOf(call, attempt));
        attempt.Meter.ReportUsage(new Usage(123, 9));
        attempt.Meter.Finish(Fairlead.Conversation.FinishReason.Stop, 0);
        Assert.Equal(new Usage(123, 9), Checkpoint.UsageOf(call, attempt));
    }

    [Fact]
    public async Task CallEnded_SteadyState_PrintsCostPerCall()
    {
        var spool = _temporary.Open(segmentBytes: 16 * 1024 * 1024);
        const int Calls = 20_000;
        var call = RecordedCalls.New();
        var attempt = call.Try();
        call.End();
        for (var i = 0; i < 2000; i++) await spool.CallEndedAsync(call, 200);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var start = TimeProvider.System.GetTimestamp();
        for (var i = 0; i < Calls; i++) await spool.AttemptStartedAsync(call, attempt);
        var half = TimeProvider.System.GetTimestamp();
        for (var i = 0; i < Calls; i++) await spool.CallEndedAsync(call, 200);
        var end = TimeProvider.System.GetTimestamp();
        TestContext.Current.TestOutputHelper?.WriteLine($"start {TimeProvider.System.GetElapsedTime(start, half).TotalNanoseconds / Calls:F0} ns, end {TimeProvider.System.GetElapsedTime(half, end).TotalNanoseconds / Calls:F0} ns, {(GC.GetAllocatedBytesForCurrentThread() - before) / (2 * Calls)} bytes allocated an append");
        Assert.Equal(2000 + (2 * Calls), TemporarySpool.ReadAll(spool.Folder).Count);
    }

    /// <summary>The processor time of a call when each full segment is shipped and given back at once.</summary>
    [Fact]
    public async Task CallEnded_SegmentsAreShipped_ProcessorTimeIsPrinted()
    {
        var spool = _temporary.Open(segmentBytes: 16 * 1024 * 1024);
        const int Calls = 100_000;
        var call = RecordedCalls.New();
        var attempt = call.Try();
        call.End();
        var shipped = spool.FirstSegment;
        using var process = System.Diagnostics.Process.GetCurrentProcess();
        var (user, system, start) = (process.UserProcessorTime, process.PrivilegedProcessorTime, TimeProvider.System.GetTimestamp());
        for (var i = 0; i < Calls; i++)
        {
            await spool.AttemptStartedAsync(call, attempt);
            await spool.CallEndedAsync(call, 200);
            if (i % 1000 == 0) for (; shipped < spool.End.Segment; shipped++) spool.Remove(shipped);
        }
        process.Refresh();
        var elapsed = TimeProvider.System.GetElapsedTime(start);
        TestContext.Current.TestOutputHelper?.WriteLine($"per call: {(process.UserProcessorTime - user).TotalNanoseconds / Calls:F0} ns user, {(process.PrivilegedProcessorTime - system).TotalNanoseconds / Calls:F0} ns system, {elapsed.TotalNanoseconds / Calls:F0} ns elapsed; {shipped - spool.FirstSegment} segments, {spool.ReusedSegments} reused");
    }

    // The segment in advance is made on another thread; a start that finds none makes one itself.
    private static async Task SegmentInAdvance(Spool spool)
    {
        while (spool.Spares == 0) await Task.Yield();
    }
}
