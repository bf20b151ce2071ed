using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Fairlead.Auditing.Spooling;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Auditing.Spooling;

/// <summary>What a full disk does to the records of calls. No new segment can be made, while those at hand stay writable.</summary>
public sealed class SpoolRoomTests : IDisposable
{
    private readonly string _root = Path.Combine(Path.GetTempPath(), "fairlead-spool-" + Path.GetRandomFileName());
    private readonly FakeTimeProvider _time = new(DateTimeOffset.UnixEpoch.AddYears(56));
    private readonly List<string> _blocks = [];
    private Spool? _spool;

    public void Dispose()
    {
        _spool?.Dispose();
        if (Directory.Exists(_root)) Directory.Delete(_root, recursive: true);
    }

    [Theory]
    [InlineData(16 * 1024)]
    [InlineData(64 * 1024)]
    public async Task DiskFull_AdmittedCalls_EndIsWrittenImmediately(int segmentBytes)
    {
        var spool = await OpenAsync(new SpoolOptions(_root) { SegmentBytes = segmentBytes });
        FillDisk(spool);
        var running = await AdmitUntilRefusedAsync(spool, i => RecordedCalls.New(_time, model: new string('m', i * 37 % 250)));
        Assert.NotEmpty(running);

        // Progress and refusals take no room that was reserved.
        for (var i = 0; i < 50; i++)
        {
            foreach (var call in running) spool.AttemptProgressed(call, call.Attempts[0]);
            await spool.CallEndedAsync(Refused(), 503);
        }
        foreach (var call in running) await spool.CallEndedAsync(call.End(long.MaxValue / 2), 200);

        Assert.Equal(running.Select(call => call.GenerationId), Ended(spool, "complete"));
        Assert.Equal(0, spool.Reserved);
        foreach (var call in running) Assert.Equal(0, call.RecordRoom);
    }

    [Fact]
    public async Task DiskFull_FloodOfRefusals_EvictsNoDeliveredCallRecord()
    {
        const int Flood = 3000;
        var spool = await OpenAsync(new SpoolOptions(_root) { SegmentBytes = 64 * 1024, MaxWaitingRefusedBytes = 16 * 1024 });
        var running = RecordedCalls.New(_time);
        await spool.AttemptStartedAsync(running, running.Try());
        FillDisk(spool);
        for (var i = 0; i < Flood; i++) await spool.CallEndedAsync(Refused(), 503);
        Assert.InRange(spool.Waiting, 1, 40);
        Assert.True(spool.Dropped > Flood / 2);

        await spool.CallEndedAsync(running.End(), 200);
        Assert.Equal([running.GenerationId], Ended(spool, "complete"));

        var dropped = spool.Dropped;
        FreeDisk();
        _time.Advance(TimeSpan.FromSeconds(1));
        spool.RetryWrites();
        Assert.Equal(0, spool.Waiting);
        Assert.Equal(0, spool.Dropped);
        Assert.Equal(Flood, Ended(spool, "failed").Count + dropped);
    }

    [Fact]
    public async Task DiskFull_NoSpaceToReserve_RefusesAttemptsUntilSpaceIsFreed()
    {
        var spool = await OpenAsync(new SpoolOptions(_root) { SegmentBytes = 64 * 1024 });
        FillDisk(spool);
        await AdmitUntilRefusedAsync(spool, _ => RecordedCalls.New(_time));
        var late = RecordedCalls.New(_time);
        var refused = await Assert.ThrowsAsync<SpoolUnavailableException>(async () => await spool.AttemptStartedAsync(late, late.Try()));
        Assert.Equal(ErrorCode.StoreUnavailable, refused.Error.Code);
        Assert.Throws<SpoolUnavailableException>(() => spool.Reserve(RecordedCalls.New(_time)));

        FreeDisk();
        _time.Advance(TimeSpan.FromSeconds(1));
        await spool.AttemptStartedAsync(late, late.Attempts[0]);
        spool.Reserve(RecordedCalls.New(_time));
    }

    [Fact]
    public async Task AttemptStarted_ManyConcurrentCalls_PreallocatesMoreSegments()
    {
        var spool = await OpenAsync(new SpoolOptions(_root) { SegmentBytes = 32 * 1024 });
        var running = new List<GatewayCall>();
        for (var i = 0; i < 200; i++)
        {
            running.Add(RecordedCalls.New(_time));
            await spool.AttemptStartedAsync(running[i], running[i].Try());
        }
        FillDisk(spool);
        foreach (var call in running) await spool.CallEndedAsync(call.End(), 200);
        Assert.Equal(200, Ended(spool, "complete").Count);
        Assert.Equal(0, spool.Waiting);
    }

    [Fact]
    public async Task CallEnded_SecondAttempt_ReservesSpaceForBoth()
    {
        var spool = await OpenAsync(new SpoolOptions(_root));
        var call = RecordedCalls.New(_time);
        await spool.AttemptStartedAsync(call, call.Try());
        var first = spool.Reserved;
        call.Attempts[0].Outcome = "failed";
        await spool.AttemptStartedAsync(call, call.Try());
        Assert.True(spool.Reserved > first);
        await spool.CallEndedAsync(call.End(), 200);
        Assert.Equal(0, spool.Reserved);
    }

    [Fact]
    public async Task CallEnded_LongestPossibleRecord_FitsReservedSpace()
    {
        var spool = await OpenAsync(new SpoolOptions(_root) { SegmentBytes = 1024 * 1024 });
        var call = RecordedCalls.New(_time, model: new string('\u0001', 1000));
        call.Endpoint = new string('\u0001', 1000);
        call.Facts.ReasoningEffort = new string('\u0001', 1000);
        call.Address = IPAddress.Parse("2001:db8:1111:2222:3333:4444:5555:6666%4294967295");
        for (var i = 0; i < 70; i++)
        {
            var attempt = call.Try();
            await spool.AttemptStartedAsync(call, attempt);
            attempt.Outcome = "invalid_output";
            attempt.Error = new GatewayError(Enum.GetValues<ErrorCode>().MaxBy(code => new GatewayError(code, "").Definition.Name.Length), "x");
            attempt.UpstreamStatus = int.MinValue;
            attempt.Duration = TimeSpan.MaxValue;
            attempt.Usage = new Usage(long.MinValue, long.MinValue) { CachedInputTokens = long.MinValue, CacheWriteTokens = long.MinValue, ReasoningTokens = long.MinValue, Basis = Basis.Estimated };
            attempt.Cost = new Cost(decimal.MinValue, Basis.Estimated);
        }
        foreach (var phase in Enum.GetValues<Phase>()) call.Timings.SetTicks(phase, long.MaxValue);
        call.Ending = new CallEnding(Outcome.InvalidOutput, call.Attempts[0].Usage, call.Attempts[0].Cost) { Error = call.Attempts[0].Error };
        call.SuppressedRefusals = long.MaxValue;
        var room = call.RecordRoom;
        for (var i = 0; i < 32; i++) call.Timings.Record(new string('p', 60) + i.ToString(CultureInfo.InvariantCulture), TimeSpan.MaxValue);
        await spool.CallEndedAsync(call, int.MinValue);
        var record = TemporarySpool.ReadAll(spool.Folder)[^1].Payload;
        Assert.InRange(SpoolFormat.SizeOf(record.Length), room / 2, room);

        // And that of a call without an attempt.
        call = RecordedCalls.New(_time, model: new string('\u0001', 1000), project: new string('p', 60), key: new string('k', 60));
        call.Endpoint = new string('\u0001', 1000);
        call.Facts.ReasoningEffort = new string('\u0001', 1000);
        spool.Reserve(call);
        room = call.RecordRoom;
        foreach (var phase in Enum.GetValues<Phase>()) call.Timings.SetTicks(phase, long.MaxValue);
        await spool.CallEndedAsync(call.End(), 200);
        record = TemporarySpool.ReadAll(spool.Folder)[^1].Payload;
        Assert.InRange(SpoolFormat.SizeOf(record.Length), 1, room);
    }

    [Fact]
    public async Task CallEnded_RefusalsNotYetInDatabase_StayWithinSpaceLimit()
    {
        var spool = await OpenAsync(new SpoolOptions(_root) { SegmentBytes = 16 * 1024, MaxRefusedBytes = 64 * 1024, MaxWaitingRefusedBytes = 4096 });
        for (var i = 0; i < 1000; i++) await spool.CallEndedAsync(Refused(), 429);
        Assert.InRange(spool.Folder.Segments().Length, 4, 7);
        Assert.True(spool.Dropped > 500);
        // Others have room as before.
        var call = RecordedCalls.New(_time);
        await spool.AttemptStartedAsync(call, call.Try());
        await spool.CallEndedAsync(call.End(), 200);
        Assert.Equal([call.GenerationId], Ended(spool, "complete"));

        // The database took them, so their segments are gone.
        foreach (var segment in spool.Folder.Segments()[..^1]) spool.Folder.Delete(segment);
        _time.Advance(TimeSpan.FromSeconds(1));
        spool.RetryWrites();
        Assert.Equal(0, spool.Waiting);
        var again = Refused();
        await spool.CallEndedAsync(again, 429);
        Assert.Contains(again.GenerationId, Ended(spool, "failed"));
    }

    private async Task<Spool> OpenAsync(SpoolOptions options)
    {
        _spool = new Spool(options, _time, NullLogger<Spool>.Instance);
        while (_spool.Spares == 0) await Task.Yield();
        return _spool;
    }

    // Where the next segments would be made, there is a folder: each of them fails, as on a full disk.
    private void FillDisk(Spool spool)
    {
        for (var i = 1; i < 500; i++)
        {
            var path = spool.Folder.SparePathOf(i);
            if (File.Exists(path)) continue;
            Directory.CreateDirectory(path);
            _blocks.Add(path);
        }
    }

    private void FreeDisk()
    {
        foreach (var block in _blocks) Directory.Delete(block);
    }

    private GatewayCall Refused() => RecordedCalls.New(_time).End(outcome: Outcome.Failed, error: new GatewayError(ErrorCode.StoreUnavailable, "x"));

    private static async Task<List<GatewayCall>> AdmitUntilRefusedAsync(Spool spool, Func<int, GatewayCall> make)
    {
        var admitted = new List<GatewayCall>();
        while (true)
        {
            var call = make(admitted.Count);
            try
            {
                await spool.AttemptStartedAsync(call, call.Try());
            }
            catch (SpoolUnavailableException)
            {
                Assert.Equal(0, call.RecordRoom);
                return admitted;
            }
            admitted.Add(call);
        }
    }

    private static List<string> Ended(Spool spool, string outcome) =>
    [
        .. TemporarySpool.ReadAll(spool.Folder)
            .Where(entry => entry.Type == SpoolRecordType.CallEnded)
            .Select(entry => JsonNode.Parse(Encoding.UTF8.GetString(entry.Payload))!)
            .Where(record => (string?)record["outcome"] == outcome)
            .Select(record => (string)record["generation_id"]!),
    ];
}
