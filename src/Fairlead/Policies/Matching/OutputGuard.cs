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
/// holds back what may be the beginning of a match. What it writes in total, and which rule stops it, does not depend on how the text is
/// divided; nor does what it counts, unless a window is blocked: then the other rules may have seen text behind that window already, and
/// their matches there are counted. It never divides a surrogate pair. One owner at a time.
/// </summary>
internal sealed class OutputGuard : IDisposable
{
    private readonly TextScan _scan;
    private readonly TextChannel _channel;
    private readonly WindowGate? _early;
    private readonly ArrayBufferWriter<char>? _judged;
    private readonly WindowGate? _gate;
    private readonly BufferSink _sink = new();

    public OutputGuard(DirectionRules rules, ChannelKind kind, PolicyTally tally, Placeholders placeholders, IWindowJudge? judge)
    {
        NeedsJudge = rules.NeedsJudge;
        if (NeedsJudge) ArgumentNullException.ThrowIfNull(judge);
        _scan = new TextScan(rules, tally, placeholders);
        _channel = new TextChannel(_scan, kind);
        if (rules.LateJudges.Count > 0) _gate = new WindowGate(rules, rules.LateJudges, kind, tally, judge);
        if (rules.EarlyJudges.Count == 0) return;
        _early = new WindowGate(rules, rules.EarlyJudges, kind, tally, judge);
        _judged = new ArrayBufferWriter<char>();
    }

    /// <summary>Whether windows need verdicts: then <see cref="PushAsync"/> and <see cref="CompleteAsync"/> must be used.</summary>
    public bool NeedsJudge { get; }

    /// <summary>The rule that stopped the text, if one did.</summary>
    public PolicyBlock? Block { get; private set; }

    /// <summary>Characters that are held back now.</summary>
    public int Held => (_early?.Held ?? 0) + _channel.Held + (_gate?.Held ?? 0);

    /// <summary>Whether a rule redacted something.</summary>
    public bool HasRedacted => _scan.Redacted is not null;

    /// <summary>Takes the next chunk, and writes what may leave. After a block nothing is taken or written.</summary>
    public GuardResult Push(ReadOnlySpan<char> text, IBufferWriter<char> output)
    {
        if (!HasJudges) return Result(TakeLocally(text, output, isFinal: false));
        if (_early is null) return Completed(JudgeAsync(TakeLocally(text, output, isFinal: false), null, output, isFinal: false, default));
        _early.Input.Write(text);
        return Completed(JudgeEarlyAsync(output, isFinal: false, default));
    }

    /// <summary>The text has ended: writes the rest, unless a rule stops it.</summary>
    public GuardResult Complete(IBufferWriter<char> output) => HasJudges
        ? Completed(CompleteAsync(output, CancellationToken.None))
        : Result(TakeLocally([], output, isFinal: true));

    /// <summary>As <see cref="Push"/>; waits for the verdict of each window that the chunk completes.</summary>
    public ValueTask<GuardResult> PushAsync(ReadOnlyMemory<char> text, IBufferWriter<char> output, CancellationToken cancellationToken)
    {
        if (!HasJudges) return new(Result(TakeLocally(text.Span, output, isFinal: false)));
        if (_early is null)
            return JudgeAsync(TakeLocally(text.Span, output, isFinal: false), null, output, isFinal: false, cancellationToken);
        _early.Input.Write(text.Span);
        return JudgeEarlyAsync(output, isFinal: false, cancellationToken);
    }

    /// <summary>As <see cref="Complete"/>; waits for the verdict of the last window.</summary>
    public ValueTask<GuardResult> CompleteAsync(IBufferWriter<char> output, CancellationToken cancellationToken)
    {
        if (!HasJudges) return new(Result(TakeLocally([], output, isFinal: true)));
        return _early is null
            ? JudgeAsync(TakeLocally([], output, isFinal: true), null, output, isFinal: true, cancellationToken)
            : JudgeEarlyAsync(output, isFinal: true, cancellationToken);
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

    private bool HasJudges => _early is not null || _gate is not null;

    private async ValueTask<GuardResult> JudgeEarlyAsync(IBufferWriter<char> output, bool isFinal, CancellationToken cancellationToken)
    {
        if (Block is not null) return GuardResult.Blocked;
        _judged!.Clear();
        var block = await _early!.AdvanceAsync(_judged, isFinal, cancellationToken);
        var rule = TakeLocally(_judged.WrittenSpan, output, isFinal: false);
        // What stands before a block is the end of the text.
        var isOver = isFinal || block is not null;
        if (rule is null && isOver) rule = TakeLocally([], output, isFinal: true);
        return await JudgeAsync(rule, block, output, isOver, cancellationToken);
    }

    private async ValueTask<GuardResult> JudgeAsync(
        PolicyRuleReference? rule, PolicyBlock? early, IBufferWriter<char> output, bool isFinal, CancellationToken cancellationToken)
    {
        if (Block is not null) return GuardResult.Blocked;
        // What stands before a local block is the end of the text.
        if (_gate is not null) Block = await _gate.AdvanceAsync(output, isFinal || rule is not null, cancellationToken);
        if (Block is null && rule is null) Block = early;
        return Block is null ? Result(rule) : GuardResult.Blocked;
    }

    private static GuardResult Completed(ValueTask<GuardResult> judging) => judging.IsCompleted
        ? judging.GetAwaiter().GetResult()
        : throw new InvalidOperationException("Some rules need verdicts. Use the asynchronous methods.");
}
