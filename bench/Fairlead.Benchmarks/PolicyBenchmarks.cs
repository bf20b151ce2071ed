using System.Buffers;
using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Fairlead.Policies.Matching;

namespace Fairlead.Benchmarks;

/// <summary>
/// A dozen rules of all local kinds on texts of 2 KB. Goal: at most 25 µs for a request, and as much for a response, so that a chat costs at
/// most 1.3 times as much as without rules.
/// </summary>
[MemoryDiagnoser]
public class PolicyBenchmarks
{
    private static readonly CompiledPolicies Policies = CompiledPolicies.Compile([new PolicyDefinition("pol_1", "bench", 1, DozenRules())]);

    private readonly ArrayBufferWriter<char> _output = new(8192);
    private string _text = "";

    /// <summary>Prose without any number, or a text with numbers, addresses and code, in which some rules match.</summary>
    [Params("prose", "data")]
    public string Content { get; set; } = "prose";

    internal static int Run()
    {
        // In this process: the machine of a developer need not build another program for it.
        var config = DefaultConfig.Instance.AddColumn(StatisticColumn.Median)
            .AddJob(Job.ShortRun.WithIterationCount(10).WithToolchain(InProcessEmitToolchain.Instance));
        BenchmarkRunner.Run<PolicyBenchmarks>(config);
        return 0;
    }

    [GlobalSetup]
    public void SetUp() => _text = TextOf(Content);

    [Benchmark]
    public bool Input()
    {
        using var check = Policies.CheckInput(new PolicyTally(), new Placeholders());
        return check.Check(_text).IsUnchanged;
    }

    [Benchmark]
    public int OutputInOnePiece() => Guard(_text.Length);

    /// <summary>As a fast model writes: 25 chunks of 80 characters, as batching sends them.</summary>
    [Benchmark]
    public int OutputInChunks() => Guard(80);

    [Benchmark]
    public int OutputInTokens() => Guard(4);

    internal static PolicyRule[] DozenRules()
    {
        var number = 0;
        return
        [
            Rule(PolicyRuleType.Words, PolicyAction.Block) with { Words = ["project nightfall", "codename zephyr", "do not distribute"] },
            Rule(PolicyRuleType.Words, PolicyAction.Flag) with { Words = [.. Enumerable.Range(0, 200).Select(i => $"forbidden{i}")] },
            Rule(PolicyRuleType.Regex, PolicyAction.Redact) with { Pattern = @"EMP-\d{6}", MaxMatchLength = 10 },
            Rule(PolicyRuleType.Regex, PolicyAction.Flag) with { Pattern = @"(?i)internal use only", MaxMatchLength = 17 },
            Rule(PolicyRuleType.PersonalData, PolicyAction.Redact) with { Kinds = ["email"], Restore = true },
            Rule(PolicyRuleType.PersonalData, PolicyAction.Redact) with { Kinds = ["phone"], Restore = true },
            Rule(PolicyRuleType.PersonalData, PolicyAction.Redact) with { Kinds = ["card", "iban"] },
            Rule(PolicyRuleType.PersonalData, PolicyAction.Redact) with { Kinds = ["national_id"] },
            Rule(PolicyRuleType.PersonalData, PolicyAction.Flag) with { Kinds = ["ip"] },
            Rule(PolicyRuleType.Secrets, PolicyAction.Block) with { Kinds = ["known_key", "private_key"] },
            Rule(PolicyRuleType.Secrets, PolicyAction.Flag) with { Kinds = ["high_entropy"] },
            Rule(PolicyRuleType.PromptInjection, PolicyAction.Flag) with { Direction = PolicyDirection.Input },
        ];

        PolicyRule Rule(PolicyRuleType type, PolicyAction action) => new() { Id = $"rule-{number++}", Type = type, Action = action };
    }

    internal static string TextOf(string content)
    {
        const string Prose = "The old harbour lay quiet in the morning, and the ropes creaked against the fairleads while the crew waited for the tide. ";
        const string Data = "On 2026-11-29 the job 48213 took 12.75 s (limit: 30); write to ops@example.com or see https://example.com/a/b?id=77 [3], v1.2.3. ";
        var unit = content == "prose" ? Prose : Data;
        return string.Concat(Enumerable.Repeat(unit, (2048 / unit.Length) + 1))[..2048];
    }

    private int Guard(int size)
    {
        _output.ResetWrittenCount();
        using var guard = Policies.GuardOutput(ChannelKind.Text, new PolicyTally(), new Placeholders());
        for (var start = 0; start < _text.Length; start += size) guard.Push(_text.AsSpan(start, Math.Min(size, _text.Length - start)), _output);
        guard.Complete(_output);
        return _output.WrittenCount;
    }
}
