using System.Text;
using CsCheck;
using Fairlead.Streaming;

namespace Fairlead.Tests.Streaming;

public class SseParserTests
{
    [Theory]
    [InlineData("data: a\n\n", "|a")]
    [InlineData("data: a\r\n\r\n", "|a")]
    [InlineData("data: a\r\r", "|a")]
    [InlineData("data:a\n\n", "|a")]
    [InlineData("data:  a\n\n", "| a")]
    [InlineData("\uFEFFdata: a\n\n", "|a")]
    [InlineData(": ping\n\ndata: a\n\n", "|a")]
    [InlineData("event: x\ndata: a\n\n", "x|a")]
    [InlineData("event: x\n\ndata: a\n\n", "|a")]
    [InlineData("data: a\nevent: x\ndata: bcdefghijkl\n\n", "x|a\nbcdefghijkl")]
    [InlineData("data: a\r\ndata: b\r\ndata: c\r\n\r\n", "|a\nb\nc")]
    [InlineData("data\n\n", "|")]
    [InlineData("data:\ndata\n\n", "|\n")]
    [InlineData("id: 1\nretry: 5\nunknown: y\ndata: a\n\n", "|a")]
    [InlineData("data: a\n\ndata: b\n\n", "|a", "|b")]
    [InlineData("data: a\n\ndata: unfinished\n", "|a")]
    [InlineData("data: a\n\ndata: unfinished", "|a")]
    [InlineData("\n\n\r\n\rdata: a\n\n", "|a")]
    [InlineData("data: a\n: note\ndata: b\n\n", "|a\nb")]
    [InlineData("event: long\nevent: s\ndata: a\n\n", "s|a")]
    [InlineData("")]
    [InlineData("\uFEFF")]
    public void TryRead_Stream_ReturnsEvents(string stream, params string[] events)
    {
        var bytes = Encoding.UTF8.GetBytes(stream);
        Assert.Equal(events, Parse(bytes, [bytes.Length]));
        Assert.Equal(events, Parse(bytes, Enumerable.Repeat(1, bytes.Length)));
    }

    [Fact]
    public void TryRead_AnyStreamSplitAnywhere_ParsesTheSame()
    {
        var lineEnd = OneOfThese("\n", "\r\n", "\r");
        var line = Gen.OneOf(
            Gen.String[Gen.Char.AlphaNumeric, 0, 12].Select(s => "data: " + s),
            OneOfThese("data", "data:", ": comment", "event: message_start", "event:x", "id: 3", "data: {\"a\":\"é日\"}", "", "", "x"));
        var stream = Gen.Select(line, lineEnd, (l, e) => l + e).Array[0, 40];
        Gen.Select(Gen.Bool, stream, Gen.Int[1, 9].Array[1, 200]).Sample((mark, lines, cuts) =>
        {
            var bytes = Encoding.UTF8.GetBytes((mark ? "\uFEFF" : "") + string.Concat(lines));
            var expected = Reference(Encoding.UTF8.GetString(bytes));
            Assert.Equal(expected, Parse(bytes, [bytes.Length]));
            Assert.Equal(expected, Parse(bytes, cuts));
        });
    }

    [Fact]
    public void TryRead_EventAboveLimit_StopsAndSetsTooLarge()
    {
        using var parser = new SseParser(maxEventBytes: 100);
        parser.Append("data: a\n\ndata: "u8);
        Assert.True(parser.TryRead(out _, out _));
        parser.Append(new byte[101]);
        Assert.False(parser.TryRead(out _, out _));
        Assert.True(parser.TooLarge);
    }

    [Fact]
    public void TryRead_ManyDataLinesAboveLimit_StopsAndSetsTooLarge()
    {
        using var parser = new SseParser(maxEventBytes: 100);
        for (var i = 0; i < 20 && !parser.TooLarge; i++)
        {
            parser.Append("data: 0123456789\n"u8);
            Assert.False(parser.TryRead(out _, out _));
        }
        Assert.True(parser.TooLarge);
    }

    [Fact]
    public void TryRead_EndlessComments_AreNotBuffered()
    {
        using var parser = new SseParser(maxEventBytes: 100);
        for (var i = 0; i < 1000; i++)
        {
            parser.Append(": still working on it\n"u8);
            Assert.False(parser.TryRead(out _, out _));
        }
        Assert.False(parser.TooLarge);
        parser.Append("data: a\n\n"u8);
        Assert.True(parser.TryRead(out _, out var data));
        Assert.Equal("a"u8, data);
    }

    [Fact]
    public void TryRead_WarmParser_AllocatesNothing()
    {
        using var parser = new SseParser();
        var chunk = Encoding.UTF8.GetBytes("event: content_block_delta\ndata: {\"type\":\"content_block_delta\"}\n\ndata: x\n\n");
        for (var i = 0; i < 50; i++) Read(parser, chunk);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var events = 0;
        for (var i = 0; i < 1000; i++) events += Read(parser, chunk);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(2000, events);
    }

    private static Gen<string> OneOfThese(params string[] values) => Gen.Int[0, values.Length - 1].Select(i => values[i]);

    private static int Read(SseParser parser, byte[] chunk)
    {
        parser.Append(chunk);
        var events = 0;
        while (parser.TryRead(out _, out _)) events++;
        return events;
    }

    private static List<string> Parse(byte[] bytes, IEnumerable<int> cuts)
    {
        using var parser = new SseParser();
        var result = new List<string>();
        var at = 0;
        foreach (var cut in cuts.Append(int.MaxValue))
        {
            var length = Math.Min(cut, bytes.Length - at);
            parser.Append(bytes.AsSpan(at, length));
            at += length;
            while (parser.TryRead(out var name, out var data)) result.Add(Encoding.UTF8.GetString(name) + "|" + Encoding.UTF8.GetString(data));
            parser.ReleaseIfEmpty();
        }
        return result;
    }

    // The specification's own algorithm, written for clarity.
    private static List<string> Reference(string stream)
    {
        var result = new List<string>();
        stream = stream.StartsWith('\uFEFF') ? stream[1..] : stream;
        var lines = stream.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n').Split('\n');
        var data = "";
        var name = "";
        foreach (var line in lines[..^1])
        {
            if (line.Length == 0)
            {
                if (data.Length > 0) result.Add(name + "|" + data[..^1]);
                data = name = "";
                continue;
            }
            var colon = line.IndexOf(':', StringComparison.Ordinal);
            if (colon == 0) continue;
            var field = colon < 0 ? line : line[..colon];
            var value = colon < 0 ? "" : line[(colon + 1)..];
            if (value.StartsWith(' ')) value = value[1..];
            if (field == "data") data += value + "\n";
            else if (field == "event") name = value;
        }
        return result;
    }
}
