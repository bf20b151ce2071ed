namespace Fairlead.Conversation;

/// <summary>
/// Decides what an attempt used: what its provider reported if that can be right, the gateway's own estimate if not. Everything that is
/// charged, recorded and learned from goes through here, and nothing else decides it. Pure.
/// </summary>
/// <remarks>
/// 1. Vendors differ in what they count where: cached input inside or outside the input, reasoning inside or outside the output. The
/// vendor's names suggest the usual arrangement; the total decides. 2. Input and output are each compared with what is known: no tokens
/// for text, more than the window. 3. A count that fails is estimated, and the whole is then <see cref="Basis.Estimated"/>.
/// </remarks>
internal static class UsageResolver
{
    /// <summary>Limit of input and output where the model's window is unknown: that of the largest available window.</summary>
    public const long LargestWindow = 10_000_000;

    // Only the bytes of a request are known. English has four per token, Thai twelve, and both three times as many where a client escapes
    // every letter. Long runs of spaces come near this many.
    private const int MaxInputBytesPerToken = 40;

    // Catalogue facts become outdated: a model whose limit was raised since then is still accepted.
    private const int OutputTolerance = 2;

    // The usual arrangement first, then with one part moved, then with several: 1 moves cached input, 2 cache writes, 4 reasoning.
    private static ReadOnlySpan<byte> Arrangements => [0, 4, 1, 2, 3, 5, 6, 7];

    public static ResolvedUsage Resolve<TEstimates>(UsageReport? report, in UsageKnown known, TEstimates estimates)
        where TEstimates : struct, IUsageEstimates
    {
        if (report is null || (report.IsEmpty && !report.HasUnreadable))
        {
            return Estimated(estimates.InputTokens(), known.MakesOutput ? estimates.OutputTokens() : 0, report is null
                ? UsageDoubt.NotReported : UsageDoubt.Incomplete);
        }
        if (report.IsOwn) return Own(Arrange(report, UsageReport.Ceiling), known, estimates);

        var counts = Arrange(report, InputLimit(report, known) + OutputLimit(report, known));
        if (counts.OnlyTotal is { } total) return FromTotal(total, known, estimates);
        var inputDoubt = DoubtOfInput(counts, report, known);
        var outputDoubt = DoubtOfOutput(counts, report, known);
        if (inputDoubt == UsageDoubt.None && outputDoubt == UsageDoubt.None && known is { Choices: 1, Inputs: 1 } && !report.RanTools
            && counts.Input + counts.Output > known.Window)
        {
            // Each fits alone, both do not. The one that the request or the delivered text cannot explain is wrong.
            if (known.MaxInputTokens > 0 && counts.Input > known.MaxInputTokens) inputDoubt = UsageDoubt.TooMany;
            else outputDoubt = UsageDoubt.TooMany;
        }
        return Put(counts, inputDoubt, outputDoubt, report, known, estimates);
    }

    /// <summary>The report, read by the vendor's conventions but not checked; null without a count of the input.</summary>
    public static Usage? Unjudged(UsageReport report)
    {
        var counts = Arrange(report, UsageReport.Ceiling);
        if (counts.OnlyTotal is { } total) return new Usage(total, 0).Bounded();
        return counts.Input is { } input ? UsageOf(counts, input, counts.Output ?? 0, Basis.Measured) : null;
    }

    private static ResolvedUsage Put<TEstimates>(in Counted counts, UsageDoubt inputDoubt, UsageDoubt outputDoubt, UsageReport report,
        in UsageKnown known, TEstimates estimates)
        where TEstimates : struct, IUsageEstimates
    {
        var doubt = inputDoubt != UsageDoubt.None ? inputDoubt : outputDoubt != UsageDoubt.None ? outputDoubt : counts.Doubt;
        var read = counts;
        long input;
        if (inputDoubt == UsageDoubt.None)
        {
            input = counts.Input!.Value;
        }
        else
        {
            // If a count is rejected, its parts are too.
            input = Math.Min(estimates.InputTokens(), InputLimit(report, known));
            read = read with { Cached = 0, Written = 0, LongWritten = 0, Audio = 0 };
        }
        if (!known.MakesOutput) return new ResolvedUsage(UsageOf(read, input, 0, BasisOf(doubt)), doubt);

        var output = counts.Output ?? 0;
        if (outputDoubt is UsageDoubt.TooMany)
        {
            output = estimates.OutputTokens();
            read = read with { Reasoning = 0, AudioOut = 0 };
        }
        else if (outputDoubt != UsageDoubt.None)
        {
            // The counted value is a minimum, and so is reasoning that was counted separately.
            var limit = OutputLimit(report, known);
            output = Math.Max(Math.Max(output, read.Reasoning <= limit ? read.Reasoning : 0), estimates.OutputTokens());
        }
        else if (!known.IsFinished && estimates.OutputTokens() is var seen && seen > output)
        {
            output = seen;
            if (doubt == UsageDoubt.None) doubt = UsageDoubt.Cut;
        }
        return new ResolvedUsage(UsageOf(read, input, output, BasisOf(doubt)), doubt);
    }

    private static ResolvedUsage Own<TEstimates>(in Counted counts, in UsageKnown known, TEstimates estimates)
        where TEstimates : struct, IUsageEstimates
    {
        var output = counts.Output ?? 0;
        var doubt = UsageDoubt.None;
        if (!known.IsFinished && estimates.OutputTokens() is var seen && seen > output) (output, doubt) = (seen, UsageDoubt.Cut);
        return new ResolvedUsage(UsageOf(counts, counts.Input ?? 0, output, BasisOf(doubt)), doubt);
    }

    // The input is separated as far as the gateway can count it; the rest is output, unless that is impossible.
    private static ResolvedUsage FromTotal<TEstimates>(long total, in UsageKnown known, TEstimates estimates)
        where TEstimates : struct, IUsageEstimates
    {
        if (!known.MakesOutput)
        {
            return total > 0 && !IsTooFew(total, known.InputBytes)
                ? new ResolvedUsage(new Usage(total, 0).Bounded(), UsageDoubt.None)
                : Estimated(estimates.InputTokens(), 0, UsageDoubt.Incomplete);
        }
        var (input, output) = (estimates.InputTokens(), estimates.OutputTokens());
        if (total - input is var rest && rest >= (output + 1) / 2) output = rest;
        return Estimated(input, output, UsageDoubt.Incomplete);
    }

    private static ResolvedUsage Estimated(long input, long output, UsageDoubt doubt) =>
        new((new Usage(input, output) { Basis = Basis.Estimated }).Bounded(), doubt);

    private static Basis BasisOf(UsageDoubt doubt) => doubt == UsageDoubt.None ? Basis.Measured : Basis.Estimated;

    private static Usage UsageOf(in Counted counts, long input, long output, Basis basis) => new Usage(input, output)
    {
        CachedInputTokens = counts.Cached,
        CacheWriteTokens = counts.Written,
        LongCacheWriteTokens = counts.LongWritten,
        AudioInputTokens = counts.Audio,
        AudioOutputTokens = counts.AudioOut,
        ReasoningTokens = counts.Reasoning,
        Basis = basis,
    }.Bounded();

    private static UsageDoubt DoubtOfInput(in Counted counts, UsageReport report, in UsageKnown known)
    {
        if (counts.Input is not { } input) return report.HasUnreadable ? UsageDoubt.Unreadable : UsageDoubt.Incomplete;
        if (input == 0 && known.HasInput) return UsageDoubt.TooFew;
        if (input > InputLimit(report, known)) return UsageDoubt.TooMany;
        return IsTooFew(input, known.InputBytes) ? UsageDoubt.TooFew : UsageDoubt.None;
    }

    private static UsageDoubt DoubtOfOutput(in Counted counts, UsageReport report, in UsageKnown known)
    {
        if (!known.MakesOutput) return UsageDoubt.None;
        if (counts.Output is not { } output)
        {
            // A response without any output needs no count.
            return known is { IsFinished: true, HasOutput: false } ? UsageDoubt.None : report.HasUnreadable ? UsageDoubt.Unreadable
                : UsageDoubt.Incomplete;
        }
        if (output > OutputLimit(report, known)) return UsageDoubt.TooMany;
        if (!report.OutputIsFinal && known.IsFinished) return UsageDoubt.Incomplete;
        // The caller of this method compares a truncated response with its text.
        if (!known.IsFinished) return UsageDoubt.None;
        return (output == 0 && known.HasOutput) || output < known.LeastOutput ? UsageDoubt.TooFew : UsageDoubt.None;
    }

    private static bool IsTooFew(long tokens, long inputBytes) => inputBytes > MaxInputBytesPerToken * (tokens + 1);

    private static long InputLimit(UsageReport report, in UsageKnown known) =>
        (report.RanTools ? Math.Max(LargestWindow, known.Window ?? 0) : known.Window ?? LargestWindow) * Math.Max(1, known.Inputs);

    private static long OutputLimit(UsageReport report, in UsageKnown known)
    {
        var choices = Math.Max(1, known.Choices);
        var window = (report.RanTools ? LargestWindow : known.Window ?? LargestWindow) * choices;
        return known.MaxOutput is { } most && !report.RanTools
            ? Math.Min(window, Math.Max(OutputTolerance * most * choices, known.OutputBytes)) : window;
    }

    /// <summary>Combines the counts by the vendor's conventions and the total.</summary>
    private static Counted Arrange(UsageReport report, long limit)
    {
        var cached = report[UsageMember.Cached] ?? 0;
        // Sometimes only the split by lifetime exists.
        var longWritten = report[UsageMember.LongCacheWrite] ?? 0;
        var written = Math.Max(report[UsageMember.CacheWrite] ?? 0, longWritten + (report[UsageMember.ShortCacheWrite] ?? 0));
        var reasoning = report[UsageMember.Reasoning] ?? 0;
        var tools = report[UsageMember.ToolInput] ?? 0;
        var result = new Counted
        {
            Cached = cached,
            Written = written,
            LongWritten = longWritten,
            Reasoning = reasoning,
            Audio = Math.Max(0, (report[UsageMember.AudioInput] ?? 0) - (report[UsageMember.CachedAudioInput] ?? 0)),
            AudioOut = report[UsageMember.AudioOutput] ?? 0,
        };

        var total = report[UsageMember.Total] is > 0 and var reported ? reported : (long?)null;
        if (total > limit)
        {
            total = null;
            result.Doubt = UsageDoubt.TooMany;
        }
        var input = report[UsageMember.Input];
        var output = report[UsageMember.Output];
        if (report[UsageMember.CacheMiss] is { } missed) input = Math.Max(input ?? 0, missed + cached);
        if (input is null && output is null)
        {
            result.OnlyTotal = total;
            return result;
        }

        var outside = report.CacheIsOutsideInput;
        var outerInput = tools + (outside ? cached + written : 0);
        var outerOutput = report.ReasoningIsOutsideOutput ? reasoning : 0;
        if (input is null || output is null)
        {
            // One count and the total give the other.
            if (input is not null) result.Output = total - input - outerInput is >= 0 and var made ? made : null;
            else result.Input = total - output - outerOutput is >= 0 and var taken ? taken : null;
            if (input is not null) result.Input = Math.Max(input.Value + outerInput, cached + written);
            if (output is not null) result.Output = output + outerOutput;
            return result;
        }

        (long Input, long Output)? usual = null;
        foreach (var moved in Arrangements)
        {
            var cachedOutside = ((moved & 1) != 0) ^ outside;
            var writtenOutside = ((moved & 2) != 0) ^ outside;
            var reasoningOutside = ((moved & 4) != 0) ^ report.ReasoningIsOutsideOutput;
            if ((cachedOutside ? 0 : cached) + (writtenOutside ? 0 : written) > input || (!reasoningOutside && reasoning > output))
                continue;
            var sums = (Input: input.Value + tools + (cachedOutside ? cached : 0) + (writtenOutside ? written : 0), Output: output.Value
                + (reasoningOutside ? reasoning : 0));
            usual ??= sums;
            if (total is null || sums.Input + sums.Output == total) return result with { Input = sums.Input, Output = sums.Output };
        }

        // No arrangement matches the total. The result is never null here: the last arrangement, with all outside, is always possible.
        var all = total!.Value;
        if (input + tools + output == all)
        {
            // A part is larger than the count that includes it. For reasoning that changes no price.
            return result with { Input = input + tools, Output = output, Doubt = cached + written > input ? UsageDoubt.Contradiction
                : result.Doubt };
        }
        var (usualInput, usualOutput) = usual!.Value;
        var rest = all - usualInput - usualOutput;
        // Some vendors leave out what a cache served.
        if (rest == -cached || rest == -cached - written) return result with { Input = usualInput, Output = usualOutput };
        // Counted without a name of its own: it was generated.
        return result with { Input = usualInput, Output = usualOutput + Math.Max(0, rest), Doubt = UsageDoubt.Contradiction };
    }

    private record struct Counted
    {
        public long? Input { get; set; }

        public long? Output { get; set; }

        public long? OnlyTotal { get; set; }

        public long Cached { get; set; }

        public long Written { get; set; }

        public long LongWritten { get; set; }

        public long Reasoning { get; set; }

        public long Audio { get; set; }

        public long AudioOut { get; set; }

        public UsageDoubt Doubt { get; set; }
    }
}
