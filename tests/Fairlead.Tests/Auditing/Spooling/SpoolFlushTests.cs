using Fairlead.Auditing;
using Fairlead.Auditing.Spooling;
using Microsoft.Win32.SafeHandles;

namespace Fairlead.Tests.Auditing.Spooling;

/// <summary>
/// Flushes that fail. The system reports an error once and may treat the pages as clean afterwards, so the file must not be used again, and
/// each caller with a record in it must get the error.
/// </summary>
public sealed class SpoolFlushTests : IDisposable
{
    private readonly TemporarySpool _temporary = new();
    private readonly FlakyDisk _disk = new();

    public void Dispose()
    {
        _disk.Continue.Set();
        _temporary.Dispose();
        _disk.Dispose();
    }

    [Fact]
    public async Task Flush_FullSegmentFails_ItIsNotReusedAndTheActiveOneContinues()
    {
        var spool = await OpenAsync();
        var first = FillSegment(spool);
        Append(spool);
        _disk.Failures = 1;
        await Assert.ThrowsAsync<IOException>(spool.FlushAsync);

        Append(spool);
        Assert.Equal(first + 1, spool.End.Segment);
        spool.Remove(first);
        Assert.Equal(0, spool.ReusedSegments);
        Assert.False(File.Exists(spool.Folder.PathOf(first)));
        await spool.FlushAsync();
    }

    [Fact]
    public async Task Flush_SegmentThatWasRotatedOutMeanwhileFails_IsNotReusedAndTheNewOneContinues()
    {
        var spool = await OpenAsync();
        Append(spool);
        _disk.Failures = 1;
        _disk.Continue.Reset();
        var flush = spool.FlushAsync();
        await _disk.Entered.WaitAsync(TestContext.Current.CancellationToken);
        var first = FillSegment(spool);
        _disk.Continue.Set();
        await Assert.ThrowsAsync<IOException>(() => flush);

        Append(spool);
        Assert.Equal(first + 1, spool.End.Segment);
        spool.Remove(first);
        Assert.Equal(0, spool.ReusedSegments);
        Assert.False(File.Exists(spool.Folder.PathOf(first)));
    }

    [Fact]
    public async Task Flush_ActiveSegmentFails_ContinuesInAnotherFileThatIsReused()
    {
        var spool = await OpenAsync();
        Append(spool);
        var first = spool.End.Segment;
        _disk.Failures = 1;
        await Assert.ThrowsAsync<IOException>(spool.FlushAsync);
        // Still the active one: a later success would prove nothing.
        await Assert.ThrowsAsync<IOException>(spool.FlushAsync);

        Append(spool);
        Assert.Equal(first + 1, spool.End.Segment);
        await spool.FlushAsync();
        spool.Remove(first);
        Assert.Equal(0, spool.ReusedSegments);
        // Otherwise one would be created twice, now and in the background, and none be needed later.
        while (spool.Spares == 0) await Task.Yield();
        FillSegment(spool);
        await spool.FlushAsync();
        spool.Remove(first + 1);
        Assert.Equal(1, spool.ReusedSegments);
    }

    [Fact]
    public async Task Flush_FullSegmentBecameASpareMeanwhileAndFails_TheSpareIsDropped()
    {
        var spool = await OpenAsync();
        Append(spool);
        _disk.Failures = 1;
        _disk.Continue.Reset();
        var flush = spool.FlushAsync();
        await _disk.Entered.WaitAsync(TestContext.Current.CancellationToken);
        var first = FillSegment(spool);
        spool.Remove(first);
        Assert.Equal((1, 1L), (spool.Spares, spool.ReusedSegments));
        _disk.Continue.Set();
        await Assert.ThrowsAsync<IOException>(() => flush);
        Assert.Equal(0, spool.Spares);
    }

    /// <summary>The second rotation flushes the first segment itself, and gets the only error that the system reports.</summary>
    [Fact]
    public async Task FlushSince_RotationGotTheError_Fails()
    {
        var spool = await OpenAsync();
        var failures = spool.FlushFailures;
        FillSegment(spool);
        _disk.Failures = 1;
        FillSegment(spool);
        Assert.Equal(0, _disk.Failures);

        await Assert.ThrowsAsync<IOException>(() => spool.FlushAsync(failures));
        await spool.FlushAsync(spool.FlushFailures);
    }

    [Fact]
    public async Task AttemptStarted_RotationGotTheError_IsRefused()
    {
        var spool = await OpenAsync();
        _disk.Continue.Reset();
        // Another caller's flush runs, so that of the attempt comes after the rotations.
        var other = spool.FlushAsync();
        await _disk.Entered.WaitAsync(TestContext.Current.CancellationToken);
        var call = RecordedCalls.New();
        var start = spool.AttemptStartedAsync(call, call.Try()).AsTask();
        FillSegment(spool);
        _disk.Failures = 1;
        var second = Task.Run(() => FillSegment(spool), TestContext.Current.CancellationToken);
        _disk.Continue.Set();
        await second;
        await Record.ExceptionAsync(() => other);
        await Assert.ThrowsAsync<SpoolUnavailableException>(() => start);
    }

    [Fact]
    public void Flush_AfterFailure_FailsAgainEvenIfClosed()
    {
        var path = Path.GetTempFileName();
        var segment = SpoolSegment.Create(path, 4096, _disk.Flush);
        _disk.Failures = 1;
        Assert.False(segment.FlushFailed);
        Assert.Throws<IOException>(segment.Flush);
        Assert.True(segment.FlushFailed);
        Assert.Throws<IOException>(segment.Flush);
        segment.Dispose();
        Assert.Throws<IOException>(segment.Flush);
    }

    private async Task<Spool> OpenAsync()
    {
        var spool = _temporary.Open(4096, AuditDurability.Fsync, flushToDisk: _disk.Flush);
        while (spool.Spares == 0) await Task.Yield();
        return spool;
    }

    private static void Append(Spool spool, int size = 100) => spool.Append(SpoolRecordType.AttemptProgressed, new byte[size]);

    /// <summary>Appends until the next segment is active; returns the number of the full one.</summary>
    private static long FillSegment(Spool spool)
    {
        var full = spool.End.Segment;
        while (spool.End.Segment == full) Append(spool, 1000);
        return full;
    }

    /// <summary>Reports each error once, as Linux does.</summary>
    private sealed class FlakyDisk : IDisposable
    {
        private int _failures;

        public ManualResetEventSlim Continue { get; } = new(true);

        public SemaphoreSlim Entered { get; } = new(0);

        public int Failures
        {
            get => Math.Max(0, Volatile.Read(ref _failures));
            set => Volatile.Write(ref _failures, value);
        }

        public void Flush(SafeFileHandle file)
        {
            ObjectDisposedException.ThrowIf(file.IsClosed, file);
            Entered.Release();
            var fails = Interlocked.Decrement(ref _failures) >= 0;
            Continue.Wait();
            if (fails) throw new IOException("The disk failed.");
        }

        public void Dispose()
        {
            Continue.Dispose();
            Entered.Dispose();
        }
    }
}
