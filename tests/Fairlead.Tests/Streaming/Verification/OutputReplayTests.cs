using System.Text;
using CsCheck;
using Fairlead.Conversation;
using Fairlead.Streaming.Verification;

namespace Fairlead.Tests.Streaming.Verification;

/// <summary>What another run adds to what was sent: nothing twice, nothing lost, and nothing of another output.</summary>
public sealed class OutputReplayTests
{
    /// <summary>Letters of one to four bytes, pairs of surrogates, and what JSON escapes.</summary>
    private static readonly string[] Letters = ["a", "b", " word", "é", "漢", "😀", "👩‍👩", "\n", "\"", "\\", "\u0001", "{\"k\":"];

    private static readonly Gen<string> Texts =
        Gen.Int[0, Letters.Length - 1].Select(i => Letters[i]).List[0, 40].Select(string.Concat);

    private static readonly Gen<(string Reasoning, string Text, string Arguments, int Seed)> Outputs =
        Gen.Select(Texts, Texts, Texts, Gen.Int[0, 1_000_000]);

    [Fact]
    public void Take_RunDividedDifferently_AddsExactlyWhatIsMissing() =>
        Gen.Select(Outputs, Gen.Int[0, 1_000_000]).Sample((output, other) =>
        {
            var first = Events(output, new Random(output.Seed));
            var second = Events(output, new Random(other));
            for (var cut = 0; cut <= first.Count; cut++)
            {
                var digest = DigestOf(first.Take(cut));
                var replay = new OutputReplay(digest);
                var rest = second.Select(replay.Take).OfType<GenerationEvent>().ToList();
                if (replay.Differs || !replay.IsCaughtUp) return false;
                if (Shown([.. first.Take(cut), .. rest]) != Shown(first)) return false;
            }
            return true;
        }, iter: 300);

    [Fact]
    public void Take_RunWithOneOtherUnit_DiffersAndNeverCatchesUp() =>
        Gen.Select(Texts.Where(text => text.Length > 0), Gen.Int[0, 1_000_000]).Sample((text, seed) =>
        {
            var random = new Random(seed);
            var at = random.Next(text.Length);
            var changed = string.Concat(text.AsSpan(0, at), text[at] == 'x' ? "y" : "x", text.AsSpan(at + 1));
            var replay = new OutputReplay(DigestOf([new TextDelta(text)]));
            var passed = Pieces(changed, random).Select(piece => replay.Take(new TextDelta(piece))).Where(rest => rest is not null).ToList();
            return replay.Differs && !replay.IsCaughtUp && passed.Count == 0;
        }, iter: 1000);

    [Fact]
    public void Take_OtherOutput_DiffersAtTheNextCheckpoint()
    {
        var sent = new string('a', 10_000);
        var replay = new OutputReplay(DigestOf([new TextDelta(sent)]));
        var taken = 0;
        while (!replay.Differs && taken < sent.Length)
        {
            replay.Take(new TextDelta(taken == 20 ? "b" : "a"));
            taken++;
        }
        // The mark of the part counts too.
        Assert.Equal(31, taken);
    }

    [Fact]
    public void Take_RunEndsEarly_IsNotCaughtUp()
    {
        var replay = new OutputReplay(DigestOf([new TextDelta("Hello, world")]));
        Assert.Null(replay.Take(new TextDelta("Hello")));
        Assert.Null(replay.Take(new ChoiceFinished(FinishReason.Stop)));
        Assert.False(replay.IsCaughtUp);
    }

    [Theory]
    [InlineData("reasoning")]
    [InlineData("tool")]
    [InlineData("refusal")]
    public void Take_SameTextInAnotherPart_Differs(string part)
    {
        var replay = new OutputReplay(DigestOf([new TextDelta("Hello")]));
        replay.Take(part switch
        {
            "reasoning" => new ReasoningDelta("Hello"),
            "refusal" => new RefusalDelta("Hello"),
            _ => new ToolCallStarted(0, "call_1", "Hello"),
        });
        replay.Take(new TextDelta("Hello and more"));
        Assert.True(replay.Differs);
    }

    [Fact]
    public void Take_TextAfterClosedReasoning_MustNotGrow()
    {
        var replay = new OutputReplay(DigestOf([new ReasoningDelta("think"), new TextDelta("Yes")]));
        Assert.Null(replay.Take(new ReasoningDelta("think")));
        Assert.Null(replay.Take(new ReasoningDelta("ing")));
        replay.Take(new TextDelta("Yes"));
        Assert.True(replay.Differs);
    }

    [Fact]
    public void Take_ChoicesInAnotherOrder_AddsWhatEachLacks()
    {
        var replay = new OutputReplay(DigestOf([new TextDelta("Hel"), new TextDelta("Wor") { Choice = 1 }]));
        Assert.Null(replay.Take(new TextDelta("Wor") { Choice = 1 }));
        Assert.Equal("ld", Assert.IsType<TextDelta>(replay.Take(new TextDelta("ld") { Choice = 1 })).Text);
        Assert.False(replay.IsCaughtUp);
        Assert.Equal("lo", Assert.IsType<TextDelta>(replay.Take(new TextDelta("Hello"))).Text);
        Assert.True(replay.IsCaughtUp);
    }

    [Fact]
    public void Observe_SealedBlockOrAudio_CannotBeCompared()
    {
        Assert.False(DigestOf([new ReasoningDelta("") { Redacted = "x" }]).IsComparable);
        Assert.False(DigestOf([new AudioDelta([])]).IsComparable);
        Assert.True(DigestOf([new ReasoningDelta("a") { Signature = "x" }]).IsComparable);
    }

    [Fact]
    public void AddJson_EscapedAndPlainForms_AreTheSameText()
    {
        var (plain, escaped) = (new ChoiceDigest(), new ChoiceDigest());
        plain.AddJson(Encoding.UTF8.GetBytes("é😀/a"));
        escaped.AddJson("\\u00e9\\ud83d\\uDE00\\/\\u0061"u8);
        Assert.Equal((plain.Length, plain.Hash), (escaped.Length, escaped.Hash));
        var text = new ChoiceDigest();
        text.Add("é😀/a");
        Assert.Equal(text.Hash, plain.Hash);
    }

    private static OutputDigest DigestOf(IEnumerable<GenerationEvent> events)
    {
        var digest = new OutputDigest();
        foreach (var one in events) digest.Observe(one);
        return digest;
    }

    private static List<GenerationEvent> Events((string Reasoning, string Text, string Arguments, int Seed) output, Random random) =>
    [
        new ResponseStarted(),
        .. Pieces(output.Reasoning, random).Select(piece => new ReasoningDelta(piece)),
        .. output.Reasoning.Length > 0 ? [new ReasoningDelta("") { Signature = "sig" + random.Next(10) }] : (GenerationEvent[])[],
        .. Pieces(output.Text, random).Select(piece => new TextDelta(piece)),
        .. output.Arguments.Length > 0 ? [new ToolCallStarted(0, "call_" + random.Next(10), "look_up")] : (GenerationEvent[])[],
        .. Pieces(output.Arguments, random).Select(piece => new ToolCallDelta(0, piece)),
        new ChoiceFinished(FinishReason.Stop),
    ];

    /// <summary>Divided anywhere, also within a pair of surrogates.</summary>
    private static IEnumerable<string> Pieces(string text, Random random)
    {
        for (var at = 0; at < text.Length;)
        {
            var length = Math.Min(random.Next(1, 6), text.Length - at);
            yield return text.Substring(at, length);
            at += length;
        }
    }

    /// <summary>What a reader sees: the texts of each part, how often each thing happened, and in which order the parts came.</summary>
    private static string Shown(IReadOnlyList<GenerationEvent> events)
    {
        var shown = new StringBuilder();
        var part = "";
        foreach (var one in events)
        {
            var (name, text) = one switch
            {
                TextDelta delta => ("text", delta.Text),
                ReasoningDelta { Signature: not null } => ("seal", "!"),
                ReasoningDelta delta => ("reasoning", delta.Text),
                ToolCallStarted started => ("call", started.Name),
                ToolCallDelta delta => ("arguments", delta.Arguments),
                ChoiceFinished => ("end", "."),
                _ => ("", ""),
            };
            if (text.Length == 0) continue;
            if (name != part) shown.Append('|').Append(part = name).Append(':');
            shown.Append(text);
        }
        return shown.ToString();
    }
}
