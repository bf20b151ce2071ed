using System.Text;
using System.Text.Json.Nodes;
using CsCheck;
using Fairlead.Auditing;
using Fairlead.Auditing.Records;
using Fairlead.Auditing.Spooling;

namespace Fairlead.Tests.Auditing.Spooling;

public sealed class SpoolRecoveryTests
{
    private const long Number = 1_790_000_000_123;

    private static readonly Gen<(int Kind, int Size)[]> Records = Gen.Select(Gen.Int[0, 2], Gen.Int[0, 300]).Array[1, 40];

    /// <summary>A segment of records, and where each ends.</summary>
    private static (byte[] File, List<(SpoolRecordType Type, string Payload, int End)> Records) Segment((int Kind, int Size)[] plan)
    {
        var bytes = new List<byte>(new byte[SpoolFormat.FileHeaderBytes]);
        var records = new List<(SpoolRecordType, string, int)>();
        for (var i = 0; i < plan.Length; i++)
        {
            var type = (SpoolRecordType)(plan[i].Kind + 1);
            // Several records of one call, and texts that look like the start of a record.
            var payload = $$"""{"id":"att_{{i % 7}}","generation_id":"gen_{{i % 7}}","running":{"id":"att_{{i % 7}}"},"pad":"FLR{{new string('x', plan[i].Size)}}"}""";
            var utf8 = Encoding.UTF8.GetBytes(payload);
            var record = new byte[SpoolFormat.SizeOf(utf8.Length)];
            SpoolFormat.WriteHeader(record, type, utf8.Length, i, Crc32C.Append(0, utf8), SpoolFormat.StampOf(Number));
            utf8.CopyTo(record, SpoolFormat.RecordHeaderBytes);
            bytes.AddRange(record);
            records.Add((type, payload, bytes.Count - (SpoolFormat.SizeOf(utf8.Length) - SpoolFormat.RecordHeaderBytes - utf8.Length)));
        }
        return ([.. bytes], records);
    }

    private static List<(SpoolRecordType Type, string Payload)> Read(byte[] file)
    {
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, file);
            return [.. SpoolFile.Read(path, Number).Select(e => (e.Type, Encoding.UTF8.GetString(e.Payload)))];
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Read_TruncatedAtAnyByte_ReturnsExactlyTheCompleteRecords() =>
        Gen.Select(Records, Gen.Double[0, 1]).Sample((plan, where) =>
        {
            var (file, records) = Segment(plan);
            var cut = (int)(where * file.Length);
            Assert.Equal(records.Where(r => r.End <= cut).Select(r => (r.Type, r.Payload)), Read(file[..cut]));
        }, iter: 300);

    [Fact]
    public void Read_SuffixZeroed_ReturnsExactlyTheRecordsBeforeIt() =>
        Gen.Select(Records, Gen.Double[0, 1]).Sample((plan, where) =>
        {
            var (file, records) = Segment(plan);
            var cut = (int)(where * file.Length);
            Array.Clear(file, cut, file.Length - cut);
            // A record that ends in what was cleared is gone; every payload here ends in a letter, never in zero.
            Assert.Equal(records.Where(r => r.End <= cut).Select(r => (r.Type, r.Payload)), Read(file));
        }, iter: 300);

    [Fact]
    public void Read_CorruptMiddle_ReturnsAllRecordsOutsideIt() =>
        Gen.Select(Records, Gen.Double[0, 1], Gen.Int[1, 400]).Sample((plan, where, length) =>
        {
            var (file, records) = Segment(plan);
            var from = SpoolFormat.FileHeaderBytes + (int)(where * (file.Length - SpoolFormat.FileHeaderBytes));
            var to = Math.Min(file.Length, from + length);
            // Ones, so that every byte of the hole is a change.
            for (var i = from; i < to; i++) file[i] ^= 0xFF;
            var start = SpoolFormat.FileHeaderBytes;
            var expected = new List<(SpoolRecordType, string)>();
            foreach (var record in records)
            {
                if (record.End <= from || start >= to) expected.Add((record.Type, record.Payload));
                start = (record.End + 7) & ~7;
            }
            Assert.Equal(expected, Read(file));
        }, iter: 300);

    [Fact]
    public void Read_AnyBytes_NeverThrows() =>
        Gen.Byte.Array[0, 4000].Sample(bytes =>
        {
            foreach (var (_, payload) in Read(bytes)) Assert.NotNull(payload);
        }, iter: 300);

    [Fact]
    public void Recovery_TruncatedAtAnyByte_FindsExactlyTheOpenCalls() =>
        Gen.Select(Records, Gen.Double[0, 1]).Sample((plan, where) =>
        {
            var (file, records) = Segment(plan);
            var cut = (int)(where * file.Length);
            var open = new OpenCalls();
            foreach (var (type, payload) in Read(file[..cut])) Assert.True(open.Observe(type, Encoding.UTF8.GetBytes(payload), 1));

            var expected = new SortedSet<string>(StringComparer.Ordinal);
            foreach (var (type, payload, end) in records)
            {
                if (end > cut) continue;
                var id = (string)JsonNode.Parse(payload)!["generation_id"]!;
                if (type == SpoolRecordType.AttemptStarted) expected.Add(id);
                if (type == SpoolRecordType.CallEnded) expected.Remove(id);
            }
            var lost = open.Lost().Select(record => JsonNode.Parse(record)!).ToArray();
            Assert.Equal(expected, lost.Select(record => (string)record["generation_id"]!).Order(StringComparer.Ordinal));
            Assert.All(lost, record => Assert.Equal("failed", (string?)record["outcome"]));
        }, iter: 300);

    [Fact]
    public void Lost_FailedThenStreamingAttempt_ChargesBothByLastCheckpoint()
    {
        var call = RecordedCalls.New();
        var first = call.Try();
        first.Outcome = "failed";
        var open = new OpenCalls();
        var second = call.Try();
        second.Meter.AddOutput(40);
        Observe(open, SpoolRecordType.AttemptStarted, json => AuditRecordWriter.WriteStarted(json, call, second));
        second.Meter.AddOutput(400);
        Observe(open, SpoolRecordType.AttemptProgressed, json => AuditRecordWriter.WriteProgress(json, call, second));

        var record = JsonNode.Parse(Assert.Single(open.Lost()))!;
        Assert.Equal(AuditRecordWriter.RecordIdOf(call.GenerationId), (string?)record["id"]);
        Assert.Equal(["failed", "lost"], record["attempts"]!.AsArray().Select(a => (string?)a!["outcome"]));
        Assert.Equal(110, (long)record["usage"]!["output_tokens"]!);
        Assert.Equal("estimated", (string?)record["usage"]!["basis"]);
        Assert.Equal(0.0002m + (110 * 0.000008m), (decimal)record["cost_usd"]!);
        Assert.Equal(second.Id, (string?)record["attempts"]![1]!["id"]);
        Assert.Null(record["status"]);
        Assert.NotNull(ShippedCall.Read(open.Lost()[0], 1));
    }

    [Fact]
    public void Lost_CopiedStartAfterCheckpoint_KeepsFurthestProgress()
    {
        var call = RecordedCalls.New();
        var attempt = call.Try();
        var open = new OpenCalls();
        attempt.Meter.AddOutput(400);
        Observe(open, SpoolRecordType.AttemptProgressed, json => AuditRecordWriter.WriteProgress(json, call, attempt));
        Observe(open, SpoolRecordType.AttemptCarried, json => AuditRecordWriter.WriteStarted(json, call, attempt));
        Assert.Equal(100, (long)JsonNode.Parse(Assert.Single(open.Lost()))!["usage"]!["output_tokens"]!);
    }

    private static void Observe(OpenCalls open, SpoolRecordType type, Action<System.Buffers.IBufferWriter<byte>> write)
    {
        var buffer = RecordBuffer.Rent();
        write(buffer.Output);
        Assert.True(open.Observe(type, buffer.Finish().ToArray(), 1));
    }
}
