using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using CsCheck;
using Fairlead.Auditing;
using Fairlead.Auditing.Spooling;
using Fairlead.Conversation;
using Fairlead.Errors;

namespace Fairlead.Tests.Auditing.Spooling;

/// <summary>Files that are used for one segment after the other. What an earlier segment left must never be read again.</summary>
public sealed class SpoolReuseTests : IDisposable
{
    private const long Number = 1_790_000_000_123;

    private static readonly Gen<int[]> Sizes = Gen.Int[3, 300].Array[1, 30];

    private readonly TemporarySpool _temporary = new();

    public void Dispose() => _temporary.Dispose();

    /// <summary>The copies into the file happen one after the other; a kill leaves any number of their bytes.</summary>
    [Fact]
    public void Read_KilledAtAnyByteOfAReusedFile_ReturnsExactlyTheWholeRecordsOfItsSegment() =>
        Gen.Select(Sizes, Sizes, Gen.Double[0, 1], Gen.Int[1, 5]).Sample((earlier, later, where, distance) =>
        {
            const int Capacity = 16 * 1024;
            var file = new byte[Capacity];
            foreach (var (at, bytes) in Stores(Number, earlier, "old")) bytes.CopyTo(file, at);
            var whole = file.ToArray();
            var stores = Stores(Number + distance, later, "new");
            foreach (var (at, bytes) in stores) bytes.CopyTo(whole, at);

            var left = (int)(where * stores.Sum(store => store.Bytes.Length));
            foreach (var (at, bytes) in stores)
            {
                var count = Math.Min(left, bytes.Length);
                bytes.AsSpan(0, count).CopyTo(file.AsSpan(at));
                left -= count;
            }

            var expected = new List<string>();
            var start = SpoolFormat.FileHeaderBytes;
            foreach (var size in later)
            {
                var end = start + SpoolFormat.RecordHeaderBytes + size;
                // A whole record whose stamp is still zero, because no earlier record was there, is as good.
                if (file.AsSpan(start + 20, 4).IndexOfAnyExcept((byte)0) < 0) whole.AsSpan(start + 20, 4).Clear();
                if (file.AsSpan(start..end).SequenceEqual(whole.AsSpan(start..end))) expected.Add(Payload(size, "new"));
                start += SpoolFormat.SizeOf(size);
            }
            Assert.Equal(expected, Read(file, Number + distance).Select(Text));
        }, iter: 500);

    [Fact]
    public void Read_SectorsOfAReusedFileLost_ReturnsNothingOfTheEarlierSegment() =>
        Gen.Select(Sizes, Sizes, Gen.Bool.Array[32]).Sample((earlier, later, written) =>
        {
            // After a power failure, any sectors of the later segment may be missing.
            var file = new byte[16 * 1024];
            foreach (var (at, bytes) in Stores(Number, earlier, "old")) bytes.CopyTo(file, at);
            var whole = file.ToArray();
            foreach (var (at, bytes) in Stores(Number + 1, later, "new")) bytes.CopyTo(whole, at);
            for (var i = 0; i < written.Length; i++) if (written[i]) whole.AsSpan(i * 512, 512).CopyTo(file.AsSpan(i * 512));
            Assert.All(Read(file, Number + 1), entry => Assert.StartsWith("new", Text(entry), StringComparison.Ordinal));
            var before = SpoolFormat.SequenceBefore(file, Number + 1);
            Assert.Equal(written[0] ? Number + 1 : 0, before);
        }, iter: 300);

    [Fact]
    public void StampOf_NumbersThatAFileCanHave_DifferAndAreNeverZero() =>
        Gen.Select(Gen.Long[1, long.MaxValue / 2], Gen.Long[1, uint.MaxValue - 1L]).Sample((number, distance) =>
        {
            Assert.NotEqual(0u, SpoolFormat.StampOf(number));
            Assert.NotEqual(SpoolFormat.StampOf(number), SpoolFormat.StampOf(number + distance));
        });

    [Fact]
    public void Read_FileOfVersion1_ReturnsAllRecords()
    {
        var file = FileOfVersion1(first: 41, 10, 200, 7);
        Assert.Equal([10, 200, 7], Read(file, Number).Select(entry => entry.Payload.Length));
        Assert.Equal(40, SpoolFormat.SequenceBefore(file, Number));
    }

    [Fact]
    public async Task Open_SegmentsOfVersion1_ContinuesTheirSequence()
    {
        var first = _temporary.Open();
        var (folder, number) = (first.Folder, first.FirstSegment);
        first.Dispose();
        await File.WriteAllBytesAsync(folder.PathOf(number), FileOfVersion1(first: 41, 10, 200, 7), TestContext.Current.CancellationToken);

        var second = _temporary.Open();
        await second.CallEndedAsync(RecordedCalls.New().End(), 200);
        Assert.Equal([41L, 42L, 43L, 44L], TemporarySpool.ReadAll(second.Folder).Select(entry => entry.Sequence));
        // Never reused: its records have no stamp.
        second.Remove(number);
        Assert.Equal(0, second.ReusedSegments);
        Assert.False(File.Exists(folder.PathOf(number)));
    }

    /// <summary>Before each step, the folder is what a killed process would leave.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void AppendAndRemove_KilledAfterAnyStep_LeavesExactlyTheRecordsThatAreNotShipped(bool fsync) =>
        Gen.Select(Gen.Int[0, 9], Gen.Int[2, 1500]).Array[20, 120].Sample(steps =>
        {
            using var temporary = new TemporarySpool();
            var spool = temporary.Open(segmentBytes: 4096, fsync ? AuditDurability.Fsync : AuditDurability.Spool);
            var expected = new SortedDictionary<long, List<string>> { [spool.FirstSegment] = [] };
            var text = 0;
            foreach (var (kind, size) in steps)
            {
                if (kind < 8)
                {
                    var payload = Payload(size, $"{text++} ");
                    spool.Append(SpoolRecordType.CallEnded, Encoding.UTF8.GetBytes(payload));
                    var segment = spool.End.Segment;
                    if (!expected.TryGetValue(segment, out var records)) expected[segment] = records = [];
                    records.Add(payload);
                }
                else if (kind == 8)
                {
                    _ = spool.FlushAsync();
                }
                else if (expected.First().Key < spool.End.Segment)
                {
                    spool.Remove(expected.First().Key);
                    expected.Remove(expected.First().Key);
                }
                Assert.Equal(expected.Keys, spool.Folder.Segments());
                foreach (var (segment, records) in expected)
                    Assert.Equal(records, SpoolFile.Read(spool.Folder.PathOf(segment), segment).Select(Text));
                Assert.InRange(spool.Spares, 0, 2);
            }
            // And after a restart.
            spool.Dispose();
            var next = temporary.Open(segmentBytes: 4096);
            Assert.Equal(expected.Values.SelectMany(records => records), TemporarySpool.ReadAll(next.Folder).Select(Text));
        }, iter: 8, threads: 1);

    [Fact]
    public async Task Remove_EachFullSegment_IsReusedAndNoMoreFilesAreCreated()
    {
        var spool = _temporary.Open(segmentBytes: 64 * 1024);
        while (spool.Spares == 0) await Task.Yield();
        var shipped = spool.FirstSegment;
        while (shipped < spool.FirstSegment + 20)
        {
            var call = RecordedCalls.New();
            await spool.AttemptStartedAsync(call, call.Try());
            await spool.CallEndedAsync(call.End(), 200);
            for (; shipped < spool.End.Segment; shipped++) spool.Remove(shipped);
            Assert.InRange(Directory.GetFiles(spool.Folder.Path).Length, 2, 3);
        }
        Assert.Equal(20, spool.ReusedSegments);
        Assert.Single(spool.Folder.Segments());
    }

    [Fact]
    public void Remove_SpareIsThere_DeletesTheFile()
    {
        var spool = _temporary.Open(segmentBytes: 4096);
        var payload = Encoding.UTF8.GetBytes(Payload(1000, "x"));
        // Nothing is removed, so each segment is a new file.
        while (spool.End.Segment < spool.FirstSegment + 10) spool.Append(SpoolRecordType.CallEnded, payload);
        // More than half of the active one: a spare is created in the background.
        while (spool.End.Offset < 3000) spool.Append(SpoolRecordType.CallEnded, payload);
        SpinWait.SpinUntil(() => spool.Spares > 0, TimeSpan.FromSeconds(30));
        for (var segment = spool.FirstSegment; segment < spool.End.Segment; segment++) spool.Remove(segment);
        Assert.Single(spool.Folder.Segments());
        Assert.InRange(spool.Spares, 1, 2);
        Assert.InRange(Directory.GetFiles(spool.Folder.Path).Length, 3, 4);
    }

    [Fact]
    public async Task CallEnded_OnlyRefusals_SpareIsCreatedInAdvance()
    {
        var spool = _temporary.Open(segmentBytes: 64 * 1024);
        while (spool.Spares == 0) await Task.Yield();
        // The second segment uses the first spare, and more than half of it is used.
        while (spool.End.Segment == spool.FirstSegment || spool.End.Offset < 40 * 1024)
            await spool.CallEndedAsync(RecordedCalls.New().End(outcome: Outcome.Failed, error: GatewayError.ModelNotFound("x")), 404);
        Assert.True(SpinWait.SpinUntil(() => spool.Spares > 0, TimeSpan.FromSeconds(10)));
        Assert.Equal(spool.FirstSegment + 1, spool.End.Segment);
    }

    /// <summary>The steps of a file between two segments: it is renamed, gets its header, and is renamed again.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Open_KilledWhileAFileWasASpare_ReadsNothingOfIt(bool hasNextHeader)
    {
        var first = _temporary.Open();
        var (path, folder, number) = (first.Folder.Path, first.Folder, first.FirstSegment);
        first.Dispose();
        var segment = SpoolSegment.Create(folder.SparePathOf(77), 4096);
        segment.TakeIntoUse(folder.PathOf(number + 1), number + 1, 5);
        Assert.True(segment.TryAppend(SpoolRecordType.CallEnded, 6, "{}"u8, Crc32C.Append(0, "{}"u8)));
        Assert.Single(SpoolFile.Read(folder.PathOf(number + 1), number + 1));
        segment.BecomeSpare(folder.SparePathOf(78));
        // The rename fails, so only the header is written.
        if (hasNextHeader)
            Assert.ThrowsAny<IOException>(() => segment.TakeIntoUse(Path.Combine(path, "missing", "x"), number + 2, 6));

        var second = _temporary.Open();
        Assert.Equal(path, second.Folder.Path);
        Assert.Empty(TemporarySpool.ReadAll(second.Folder));
        Assert.False(File.Exists(folder.SparePathOf(78)));
    }

    [Theory]
    [InlineData(500)]
    [InlineData(5003)]
    [InlineData(9001)]
    public async Task Kill_ProcessThatReusesSegments_LosesNothingAndRepeatsNothing(int lines)
    {
        List<string> reported;
        using (var writer = new SpoolWriterProcess(_temporary.Root, ships: true))
            reported = await writer.KillAfterAsync(lines, TestContext.Current.CancellationToken);
        var reports = reported.ToLookup(line => line[0], line => line[2..]);
        var shipped = reports['D'].ToHashSet(StringComparer.Ordinal);
        Assert.Equal(reports['D'].Count(), shipped.Count);

        var folder = _temporary.Open().Folder;
        var left = TemporarySpool.ReadAll(folder);
        var ended = left.Where(entry => entry.Type == SpoolRecordType.CallEnded).Select(IdOf).ToList();
        Assert.Equal(ended.Count, ended.Distinct().Count());
        Assert.Empty(ended.Intersect(reports['R']));
        Assert.Empty(reports['E'].Except(ended).Except(shipped));
        var started = left.Where(entry => entry.Type is SpoolRecordType.AttemptStarted or SpoolRecordType.AttemptCarried).Select(IdOf);
        Assert.Empty(reports['S'].Except(ended).Except(shipped).Except(started));
        // Most segments were reused, so the test would notice if their earlier records were read.
        if (lines > 1000) Assert.InRange(long.Parse(reports['U'].Last()[4..], CultureInfo.InvariantCulture), 3, long.MaxValue);
    }

    internal static string IdOf(SpoolEntry entry) => (string)JsonNode.Parse(entry.Payload)!["generation_id"]!;

    private static string Text(SpoolEntry entry) => Encoding.UTF8.GetString(entry.Payload);

    private static string Payload(int size, string start) => (start + new string('x', size))[..size];

    /// <summary>The copies by which a segment is written, in their order.</summary>
    private static List<(int At, byte[] Bytes)> Stores(long number, int[] sizes, string start)
    {
        var header = new byte[SpoolFormat.FileHeaderBytes];
        SpoolFormat.WriteFileHeader(header, number, number);
        var stores = new List<(int, byte[])> { (0, header) };
        var at = SpoolFormat.FileHeaderBytes;
        foreach (var size in sizes)
        {
            var payload = Encoding.UTF8.GetBytes(Payload(size, start));
            var record = new byte[SpoolFormat.RecordHeaderBytes];
            SpoolFormat.WriteHeader(record, SpoolRecordType.CallEnded, size, at, Crc32C.Append(0, payload), SpoolFormat.StampOf(number));
            stores.Add((at + SpoolFormat.RecordHeaderBytes, payload));
            stores.Add((at, record[..SpoolFormat.CommitOffset]));
            stores.Add((at + SpoolFormat.CommitOffset, record[SpoolFormat.CommitOffset..]));
            at += SpoolFormat.SizeOf(size);
        }
        return stores;
    }

    /// <summary>As versions without stamps wrote it.</summary>
    private static byte[] FileOfVersion1(long first, params int[] sizes)
    {
        var file = new List<byte>([.. "FLSPOOL1"u8, .. BitConverter.GetBytes(first - 1)]);
        foreach (var size in sizes)
        {
            var payload = Encoding.UTF8.GetBytes(Payload(size, "old"));
            var record = new byte[SpoolFormat.SizeOf(size)];
            "FLR"u8.CopyTo(record);
            record[3] = (byte)SpoolRecordType.CallEnded;
            BinaryPrimitives.WriteInt32LittleEndian(record.AsSpan(4), size);
            BinaryPrimitives.WriteInt64LittleEndian(record.AsSpan(8), first++);
            BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(16), Crc32C.Append(Crc32C.Append(0, payload), record.AsSpan(0, 16)));
            payload.CopyTo(record, SpoolFormat.RecordHeaderBytes);
            file.AddRange(record);
        }
        file.AddRange(new byte[1000]);
        return [.. file];
    }

    private static List<SpoolEntry> Read(byte[] file, long segment)
    {
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, file);
            return [.. SpoolFile.Read(path, segment)];
        }
        finally
        {
            File.Delete(path);
        }
    }
}
