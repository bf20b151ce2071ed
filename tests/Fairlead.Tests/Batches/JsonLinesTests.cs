using System.Text;
using CsCheck;
using Fairlead.Batches;

namespace Fairlead.Tests.Batches;

public sealed class JsonLinesTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Next_AnyLinesSplitAnywhere_ReturnsEachWithItsNumberAndOffset()
    {
        var line = Gen.String[Gen.Char["ab \t\r"], 0, 30];
        await Gen.Select(line.List[0, 20], Gen.Bool, Gen.Int[1, 9]).SampleAsync(async input =>
        {
            var (lines, isEnded, piece) = input;
            var text = string.Join('\n', lines) + (isEnded ? "\n" : "");
            var wanted = text.Split('\n').Select((words, index) => (Words: words, Number: index + 1)).Where(one => one.Words.Trim(' ', '\t', '\r').Length > 0).ToList();
            var bytes = Encoding.UTF8.GetBytes(text);
            await using var reader = new JsonLines(new Pieces(bytes, piece), 0, 1000);
            foreach (var (words, number) in wanted)
            {
                if (!await reader.NextAsync(Cancel) || reader.IsTooLong || reader.Number != number || Encoding.UTF8.GetString(reader.Line.Span) != words) return false;
                // A reader that continues from this offset finds the rest.
                await using var rest = new JsonLines(new MemoryStream(bytes[(int)reader.Offset..]), reader.Offset, 1000);
                var last = wanted[^1].Number == number;
                if (await rest.NextAsync(Cancel) == last) return false;
            }
            return !await reader.NextAsync(Cancel);
        }, iter: 300);
    }

    [Fact]
    public async Task Next_TooLongLines_AreFlaggedAndOthersReturned()
    {
        var text = "short\n" + new string('x', 200_000) + "\nnext\n" + new string('y', 101) + "\n" + new string('z', 100);
        await using var reader = new JsonLines(new Pieces(Encoding.UTF8.GetBytes(text), 4096), 0, 100);
        var seen = new List<string>();
        while (await reader.NextAsync(Cancel)) seen.Add(reader.IsTooLong ? "too long" : Encoding.UTF8.GetString(reader.Line.Span));
        Assert.Equal(["short", "too long", "next", "too long", new string('z', 100)], seen);
        Assert.Equal(text.Length, reader.Offset);
    }

    [Fact]
    public async Task Next_ByteOrderMark_IsSkipped()
    {
        await using var reader = new JsonLines(new MemoryStream([0xEF, 0xBB, 0xBF, (byte)'{', (byte)'}', (byte)'\n']), 0, 100);
        Assert.True(await reader.NextAsync(Cancel));
        Assert.Equal("{}"u8.ToArray(), reader.Line.ToArray());
        Assert.Equal(6, reader.Offset);
    }

    /// <summary>Gives a few bytes at a time, as a network does.</summary>
    private sealed class Pieces(byte[] bytes, int size) : MemoryStream(bytes)
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => base.ReadAsync(buffer[..Math.Min(size, buffer.Length)], cancellationToken);
    }
}
