using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json;

namespace Fairlead.Conversation;

/// <summary>One count of a usage report.</summary>
internal enum UsageMember
{
    /// <summary>Input, with or without what a cache served: see <see cref="UsageReport.CacheIsOutsideInput"/>.</summary>
    Input,
    Output,
    Total,
    Cached,

    /// <summary>Input that a cache did not serve (DeepSeek).</summary>
    CacheMiss,
    CacheWrite,
    LongCacheWrite,
    ShortCacheWrite,
    Reasoning,
    AudioInput,
    CachedAudioInput,
    AudioOutput,

    /// <summary>Input that the provider's own tools added (Gemini); never part of <see cref="Input"/>.</summary>
    ToolInput,
}

/// <summary>
/// What a provider reported about usage, under any vendor's names and exactly as far as it could be read. Nothing is checked here:
/// <see cref="UsageResolver"/> decides that. Immutable after it is read.
/// </summary>
internal sealed class UsageReport
{
    /// <summary>Larger counts are read as this one. No sum of a few of them overflows, and no model has so large a window.</summary>
    public const long Ceiling = 1_000_000_000_000_000;

    private const int LongestName = 40;
    private const int MaxDepth = 4;

    private Counts _counts;

    private enum Side
    {
        None,
        Input,
        Output,
        Cache,
    }

    /// <summary>By the vendor's convention, the input count excludes what a cache served and stored (Anthropic, Bedrock).</summary>
    public bool CacheIsOutsideInput => SaysPlainInput && SaysOuterCache && !SaysWholeInput;

    /// <summary>By the vendor's convention, the output count excludes the reasoning (Gemini).</summary>
    public bool ReasoningIsOutsideOutput { get; private set; }

    /// <summary>False for a report from the start of a stream, whose output count is not final.</summary>
    public bool OutputIsFinal { get; private set; } = true;

    /// <summary>A known member had a value that is not a count: negative, a fraction, a text.</summary>
    public bool HasUnreadable { get; private set; }

    /// <summary>The provider ran tools of its own, so its input is the sum of several turns and no window limits it.</summary>
    public bool RanTools { get; private set; }

    /// <summary>The gateway itself counted (simulated models), so the counts are always right.</summary>
    public bool IsOwn { get; private init; }

    /// <summary>The service tier beside the counts (Anthropic); null if there is none.</summary>
    public string? ServiceTier { get; private set; }

    private bool SaysPlainInput { get; set; }

    private bool SaysWholeInput { get; set; }

    private bool SaysOuterCache { get; set; }

    /// <summary>The count, or null when it was not reported.</summary>
    public long? this[UsageMember member]
    {
        get => _counts[(int)member] is > 0 and var stored ? stored - 1 : null;
        private set => _counts[(int)member] = value + 1 ?? 0;
    }

    public bool IsEmpty
    {
        get
        {
            foreach (var count in (ReadOnlySpan<long>)_counts)
            {
                if (count > 0) return false;
            }
            return true;
        }
    }

    /// <summary>Reads the object at the position of <paramref name="json"/>; ends on its last token.</summary>
    public static UsageReport Read(ref Utf8JsonReader json)
    {
        var report = new UsageReport();
        report.ReadObject(ref json, Side.None, MaxDepth);
        return report;
    }

    /// <summary>Reads a value that was parsed already; null if it is not an object.</summary>
    public static UsageReport? Read(JsonElement usage)
    {
        if (usage.ValueKind != JsonValueKind.Object) return null;
        var json = new Utf8JsonReader(System.Runtime.InteropServices.JsonMarshal.GetRawUtf8Value(usage),
            new JsonReaderOptions { MaxDepth = 512 });
        json.Read();
        return Read(ref json);
    }

    /// <summary>
    /// A report of one member, for servers that write counts beside everything else (Ollama). Null if the value is not a count.
    /// </summary>
    public static UsageReport? Of(UsageMember member, ref Utf8JsonReader json)
    {
        var report = new UsageReport();
        report.Count(ref json, member);
        return report.IsEmpty ? null : report;
    }

    /// <summary>Counts of a library; null for unknown ones.</summary>
    public static UsageReport Of(long? input, long? output, long? total = null, long? cached = null, long? reasoning = null,
        long? audioInput = null, long? audioOutput = null)
    {
        var report = new UsageReport { SaysWholeInput = true };
        report.Set(UsageMember.Input, input);
        report.Set(UsageMember.Output, output);
        report.Set(UsageMember.Total, total);
        report.Set(UsageMember.Cached, cached);
        report.Set(UsageMember.Reasoning, reasoning);
        report.Set(UsageMember.AudioInput, audioInput);
        report.Set(UsageMember.AudioOutput, audioOutput);
        return report;
    }

    /// <summary>The gateway's own counts.</summary>
    public static UsageReport OfOwn(in Usage usage)
    {
        var own = usage.Bounded();
        var report = new UsageReport { IsOwn = true, SaysWholeInput = true };
        report.Set(UsageMember.Input, own.InputTokens);
        report.Set(UsageMember.Output, own.OutputTokens);
        report.Set(UsageMember.Cached, own.CachedInputTokens);
        report.Set(UsageMember.CacheWrite, own.CacheWriteTokens);
        report.Set(UsageMember.LongCacheWrite, own.LongCacheWriteTokens);
        report.Set(UsageMember.Reasoning, own.ReasoningTokens);
        report.Set(UsageMember.AudioInput, own.AudioInputTokens);
        report.Set(UsageMember.AudioOutput, own.AudioOutputTokens);
        return report;
    }

    /// <summary>The same report, sent before the output was complete.</summary>
    public UsageReport AtStart() => Copy(this, outputIsFinal: false);

    /// <summary>The same report of a response in which the provider ran tools of its own.</summary>
    public UsageReport WithTools()
    {
        var copy = Copy(this, OutputIsFinal);
        copy.RanTools = true;
        return copy;
    }

    /// <summary>
    /// Merges both. Reports of one response are cumulative, and each names only what it knows: the later count of a member has precedence,
    /// except a zero after a count.
    /// </summary>
    public UsageReport Then(UsageReport later)
    {
        // A zero after a count replaces neither the count nor its source.
        var replacesOutput = later[UsageMember.Output] is { } output && (output > 0 || this[UsageMember.Output] is not > 0);
        var result = Copy(this, replacesOutput ? later.OutputIsFinal : OutputIsFinal);
        // The total belongs to the counts beside it.
        if (later[UsageMember.Total] is null && (later[UsageMember.Input] > 0 || later[UsageMember.Output] > 0))
            result._counts[(int)UsageMember.Total] = 0;
        for (var i = 0; i < Counts.Length; i++)
        {
            if (later._counts[i] > 1 || result._counts[i] == 0)
                result._counts[i] = later._counts[i] > 0 ? later._counts[i] : result._counts[i];
        }
        result.ReasoningIsOutsideOutput |= later.ReasoningIsOutsideOutput;
        result.HasUnreadable |= later.HasUnreadable;
        result.RanTools |= later.RanTools;
        result.ServiceTier = later.ServiceTier ?? result.ServiceTier;
        result.SaysPlainInput |= later.SaysPlainInput;
        result.SaysWholeInput |= later.SaysWholeInput;
        result.SaysOuterCache |= later.SaysOuterCache;
        return result;
    }

    private static UsageReport Copy(UsageReport from, bool outputIsFinal) => new()
    {
        _counts = from._counts,
        ReasoningIsOutsideOutput = from.ReasoningIsOutsideOutput,
        OutputIsFinal = outputIsFinal,
        HasUnreadable = from.HasUnreadable,
        RanTools = from.RanTools,
        IsOwn = from.IsOwn,
        ServiceTier = from.ServiceTier,
        SaysPlainInput = from.SaysPlainInput,
        SaysWholeInput = from.SaysWholeInput,
        SaysOuterCache = from.SaysOuterCache,
    };

    private void ReadObject(ref Utf8JsonReader json, Side side, int depth)
    {
        Span<char> buffer = stackalloc char[LongestName];
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            var name = Plain(json, buffer);
            json.Read();
            switch (name)
            {
                case "prompttokens" or "prompttokencount" or "inputtokencount" or "promptevalcount":
                    SaysWholeInput = true;
                    Count(ref json, UsageMember.Input);
                    break;
                case "inputtokens":
                    SaysPlainInput = true;
                    Count(ref json, UsageMember.Input);
                    break;
                case "completiontokens" or "outputtokens" or "candidatestokencount" or "outputtokencount" or "completiontokencount"
                    or "evalcount":
                    Count(ref json, UsageMember.Output);
                    break;
                case "totaltokens" or "totaltokencount":
                    Count(ref json, UsageMember.Total);
                    break;
                case "cachedtokens" or "promptcachehittokens" or "cachedcontenttokencount" or "cachedinputtokens"
                    or "cachedinputtokencount" or "cachedprompttokens":
                    Count(ref json, UsageMember.Cached);
                    break;
                case "cachereadinputtokens" or "cachereadinputtokencount":
                    SaysOuterCache = true;
                    Count(ref json, UsageMember.Cached);
                    break;
                case "promptcachemisstokens":
                    Count(ref json, UsageMember.CacheMiss);
                    break;
                case "cachewritetokens" or "cachecreationtokens":
                    Count(ref json, UsageMember.CacheWrite);
                    break;
                case "cachecreationinputtokens" or "cachewriteinputtokens" or "cachewriteinputtokencount":
                    SaysOuterCache = true;
                    Count(ref json, UsageMember.CacheWrite);
                    break;
                case "ephemeral1hinputtokens":
                    SaysOuterCache = true;
                    Count(ref json, UsageMember.LongCacheWrite);
                    break;
                case "ephemeral5minputtokens":
                    SaysOuterCache = true;
                    Count(ref json, UsageMember.ShortCacheWrite);
                    break;
                case "reasoningtokens" or "thinkingtokens" or "reasoningtokencount" or "reasoningoutputtokens":
                    Count(ref json, UsageMember.Reasoning);
                    break;
                case "thoughtstokencount":
                    ReasoningIsOutsideOutput = true;
                    Count(ref json, UsageMember.Reasoning);
                    break;
                case "tooluseprompttokencount":
                    Count(ref json, UsageMember.ToolInput);
                    break;
                case "audiotokens" when side is Side.Input or Side.Output:
                    Count(ref json, side == Side.Input ? UsageMember.AudioInput : UsageMember.AudioOutput);
                    break;
                case "inputaudiotokens" or "promptaudiotokens":
                    Count(ref json, UsageMember.AudioInput);
                    break;
                case "outputaudiotokens" or "completionaudiotokens":
                    Count(ref json, UsageMember.AudioOutput);
                    break;
                case "servicetier":
                    ServiceTier = ServiceTierName.Read(json) ?? ServiceTier;
                    json.Skip();
                    break;
                case "servertooluse" when json.TokenType == JsonTokenType.StartObject:
                    ReadTools(ref json);
                    break;
                case "prompttokensdetails" or "inputtokensdetails" or "inputtokendetails" or "prompttokendetails":
                    Details(ref json, Side.Input, depth);
                    break;
                case "completiontokensdetails" or "outputtokensdetails" or "outputtokendetails" or "completiontokendetails"
                    or "candidatestokensdetails" or "responsetokensdetails":
                    Details(ref json, Side.Output, depth);
                    break;
                case "cachetokensdetails":
                    Details(ref json, Side.Cache, depth);
                    break;
                // Anthropic's split by lifetime, and Cohere's counts beside those that it bills.
                case "cachecreation" or "tokens":
                    Details(ref json, side, depth);
                    break;
                default:
                    json.Skip();
                    break;
            }
        }
    }

    // Anthropic: how often each tool ran; zeros where none did.
    private void ReadTools(ref Utf8JsonReader json)
    {
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            json.Read();
            if (TryCount(json, out var uses)) RanTools |= uses > 0;
            else json.Skip();
        }
    }

    private void Details(ref Utf8JsonReader json, Side side, int depth)
    {
        if (json.TokenType == JsonTokenType.StartObject && depth > 0) ReadObject(ref json, side, depth - 1);
        else if (json.TokenType == JsonTokenType.StartArray) Modalities(ref json, side);
        else json.Skip();
    }

    // Gemini: [{"modality":"AUDIO","tokenCount":12}, …], in either order of the members.
    private void Modalities(ref Utf8JsonReader json, Side side)
    {
        while (json.Read() && json.TokenType != JsonTokenType.EndArray)
        {
            if (json.TokenType != JsonTokenType.StartObject)
            {
                json.Skip();
                continue;
            }
            var isAudio = false;
            long? count = null;
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                var isModality = json.ValueTextEquals("modality"u8);
                var isCount = !isModality && json.ValueTextEquals("tokenCount"u8);
                json.Read();
                if (isModality && json.TokenType == JsonTokenType.String) isAudio = json.ValueTextEquals("AUDIO"u8);
                else if (isCount && TryCount(json, out var read)) count = read;
                else json.Skip();
            }
            if (isAudio && count is not null)
            {
                Set(side switch { Side.Output => UsageMember.AudioOutput, Side.Cache => UsageMember.CachedAudioInput, _ =>
                    UsageMember.AudioInput }, count);
            }
        }
    }

    private void Count(ref Utf8JsonReader json, UsageMember member)
    {
        if (json.TokenType == JsonTokenType.Null) return;
        if (TryCount(json, out var count))
        {
            Set(member, count);
            return;
        }
        HasUnreadable = true;
        json.Skip();
    }

    // Servers that write a count under two names write zero under one of them.
    private void Set(UsageMember member, long? count)
    {
        if (count is not { } value) return;
        if (value < 0) HasUnreadable = true;
        else this[member] = Math.Max(this[member] ?? 0, Math.Min(value, Ceiling));
    }

    /// <summary>A whole number, also where it is written as 12.0, 1.2e1 or "12".</summary>
    private static bool TryCount(in Utf8JsonReader json, out long count)
    {
        count = 0;
        if (json.TokenType == JsonTokenType.Number && json.TryGetInt64(out count)) return count >= 0;
        double number;
        if (json.TokenType == JsonTokenType.Number)
        {
            if (!json.TryGetDouble(out number)) return false;
        }
        else if (json.TokenType != JsonTokenType.String || json.ValueIsEscaped || json.ValueSpan.Length is 0 or > 32
            || !double.TryParse(json.ValueSpan, NumberStyles.Float, CultureInfo.InvariantCulture, out number))
        {
            return false;
        }
        if (!(number >= 0) || double.IsInfinity(number) || number != Math.Floor(number)) return false;
        count = number >= Ceiling ? Ceiling : (long)number;
        return true;
    }

    // Vendors write the same names in snake case and in camel case.
    private static ReadOnlySpan<char> Plain(in Utf8JsonReader json, Span<char> buffer)
    {
        var name = json.ValueSpan;
        if (json.ValueIsEscaped || name.Length > buffer.Length) return default;
        var length = 0;
        foreach (var letter in name)
        {
            if (letter is (byte)'_' or (byte)'-') continue;
            buffer[length++] = (char)(letter is >= (byte)'A' and <= (byte)'Z' ? letter | 0x20 : letter);
        }
        return buffer[..length];
    }

    /// <summary>Each count plus one; 0 where there was none.</summary>
    [InlineArray(Counts.Length)]
    private struct Counts
    {
        public const int Length = (int)UsageMember.ToolInput + 1;

        private long _first;
    }
}
