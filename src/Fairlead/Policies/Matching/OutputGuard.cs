using System.Buffers;

namespace Fairlead.Policies.Matching;

/// <summary>Whether a stream may go on.</summary>
internal enum GuardResult
{
    Continue,

    /// <summary>A rule stopped the text; see <see cref="OutputGuard.Block"/>. What was written until then stays valid.</summary>
    Blocked,
}

/// <summary>
/// Guards one channel of text in an output stream: the text, reasoning or tool arguments of one choice. It writes what has been checked and
/// holds back what may be the beginning of a match. What it writes in total, and what it counts, does not depend on how the text is divided.
/// It never divides a surrogate pair. One owner at a time.
/// </summary>
internal sealed class OutputGuard : IDisposable
{
    private readonly TextScan _scan;
    private readonly TextChannel _channel;
    private readonly WindowGate? _gate;
    private readonly BufferSink _sink = new();

    public OutputGuard(DirectionRules rules, ChannelKind kind, PolicyTally tally, Placeholders placeholders, IWindowJudge? judge)
    {
        NeedsJudge = rules.NeedsJudge;
        if (NeedsJudge) ArgumentNullException.ThrowIfNull(judge);
        _scan = new TextScan(rules, tally, placeholders);
        _channel = new TextChannel(_scan, kind);
        if (rules.Judges.Count > 0) _gate = new WindowGate(rules, kind, tally, judge);
    }

    /// <summary>Whether windows need verdicts: then <see cref="PushAsync"/> and <see cref="CompleteAsync"/> must be used.</summary>
    public bool NeedsJudge { get; }

    /// <summary>The rule that stopped the text, if one did.</summary>
    public PolicyBlock? Block { get; private set; }

    /// <summary>Characters that are held back now.</summary>
    public int Held => _channel.Held + (_gate?.Held ?? 0);

    /// <summary>Takes the next chunk, and writes what may leave. After a block nothing is taken or written.</summary>
    public GuardResult Push(ReadOnlySpan<char> text, IBufferWriter<char> output)
    {
        var rule = TakeLocally(text, output, isFinal: false);
        return _gate is null ? Result(rule) : Completed(JudgeAsync(rule, output, isFinal: false, CancellationToken.None));
    }

    /// <summary>The text has ended: writes the rest, unless a rule stops it.</summary>
    public GuardResult Complete(IBufferWriter<char> output)
    {
        var rule = TakeLocally([], output, isFinal: true);
        return _gate is null ? Result(rule) : Completed(JudgeAsync(rule, output, isFinal: true, CancellationToken.None));
    }

    /// <summary>As <see cref="Push"/>; waits for the verdict of each window that the chunk completes.</summary>
    public ValueTask<GuardResult> PushAsync(ReadOnlyMemory<char> text, IBufferWriter<char> output, CancellationToken cancellationToken)
    {
        var rule = TakeLocally(text.Span, output, isFinal: false);
        return _gate is null ? new(Result(rule)) : JudgeAsync(rule, output, isFinal: false, cancellationToken);
    }

    /// <summary>As <see cref="Complete"/>; waits for the verdict of the last window.</summary>
    public ValueTask<GuardResult> CompleteAsync(IBufferWriter<char> output, CancellationToken cancellationToken)
    {
        var rule = TakeLocally([], output, isFinal: true);
        return _gate is null ? new(Result(rule)) : JudgeAsync(rule, output, isFinal: true, cancellationToken);
    }

    /// <summary>Returns buffers. What is held back is gone.</summary>
    public void Dispose() => _scan.Dispose();

    private PolicyRuleReference? TakeLocally(ReadOnlySpan<char> text, IBufferWriter<char> output, bool isFinal)
    {
        if (Block is not null) return null;
        _sink.Output = _gate?.Input ?? output;
        return isFinal ? _channel.Complete(_sink) : _channel.Push(text, _sink);
    }

    private GuardResult Result(PolicyRuleReference? rule)
    {
        if (rule is not null) Block = new PolicyBlock(rule);
        return Block is null ? GuardResult.Continue : GuardResult.Blocked;
    }

    private async ValueTask<GuardResult> JudgeAsync(PolicyRuleReference? rule, IBufferWriter<char> output, bool isFinal, CancellationToken cancellationToken)
    {
        if (Block is not null) return GuardResult.Blocked;
        // What stands before a local block is the end of the text.
        Block = await _gate!.AdvanceAsync(output, isFinal || rule is not null, cancellationToken);
        return Block is null ? Result(rule) : GuardResult.Blocked;
    }

    private static GuardResult Completed(ValueTask<GuardResult> judging) => judging.IsCompleted
        ? judging.GetAwaiter().GetResult()
        : throw new InvalidOperationException("Some rules need verdicts. Use the asynchronous methods.");
}
