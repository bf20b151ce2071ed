using System.Text;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Generations.Events;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.TokenCounting;

namespace Fairlead.Generations;

/// <summary>How a run ended: all that a client, the database and a webhook want to know of it.</summary>
internal sealed record RunResult(Outcome Outcome, int Status, byte[] Body, byte[] Details, GatewayError? Error, CancellationReason Stopped);

/// <summary>
/// A generation under way on this node without a client that holds it: its call, its body, and the text so far. Disposed when it has
/// ended and its result is kept. <see cref="TakeProgress"/> and <see cref="Stop"/> are thread-safe.
/// </summary>
internal sealed class GenerationRun : IDisposable
{
    private readonly Lock _gate = new();
    private readonly StringBuilder _text = new();
    private readonly MemoryLease _memory;
    private long _uncounted;
    private int _taken;
    private bool _hasContent;
    private IReadOnlyList<CallWarning> _warned = [];

    private const int CountedPiece = 16 * 1024;

    /// <param name="call">Its call.</param>
    /// <param name="cancellation">Its token.</param>
    /// <param name="earlierEvents">Events that earlier runs of the generation have written.</param>
    /// <param name="memory">What the logs of all runs hold.</param>
    public GenerationRun(GatewayCall call, CallCancellation cancellation, int earlierEvents = 0, EventMemory? memory = null)
    {
        Call = call;
        call.Cancellation = cancellation;
        // Not every dialect can declare delivered events void. Then no other run may follow one that was read.
        CannotRestartStream = call.Dialect.StoredStreams is { CanRestart: false } streams && streams.IsStored(call);
        // Whoever follows it has to hear that what was said is void.
        _memory = memory?.Lease() ?? new MemoryLease(null);
        Events = new RunEventLog(call.Time, memory) { Start = earlierEvents, Watched = earlierEvents > 0 || call.Streams };
        if (earlierEvents > 0) Events.Add(new GenerationRestarted(call.Run));
    }

    /// <summary>Whether its stream is stored and cannot start again after a part of it was read.</summary>
    public bool CannotRestartStream { get; }

    /// <summary>What it makes, for those who follow it.</summary>
    public RunEventLog Events { get; }

    /// <summary>No other run may follow this one: a part of its stream may have been read, and it cannot start again.</summary>
    public bool IsLast => CannotRestartStream && Events.Shown.Count > 0;

    /// <summary>What has been made of the answer.</summary>
    public AnswerBuilder Answer { get; } = new();

    public GatewayCall Call { get; }

    public string Id => Call.GenerationId;

    public Task<RunResult> Completion { get; private set; } = null!;

    /// <summary>How far it has come.</summary>
    public GenerationProgress ProgressBy(TokenCounter counter)
    {
        string text;
        lock (_gate) text = _text.ToString();
        var answering = Call.Answering;
        return new GenerationProgress(text, Call.InputEstimate.Tokens, answering is null ? 0 : counter.EstimateOutput(answering.Meter, Call.Model));
    }

    /// <summary>Continues an accepted call, which ends with this run: it takes over the call's address and reservation.</summary>
    public void TakeOver(GatewayCall accepted)
    {
        Call.Address = accepted.Address;
        Call.Site = accepted.Site;
        Call.Reservation = accepted.Reservation;
        accepted.Reservation = null;
        accepted.HandedOver = true;
    }

    public void Start(Func<GenerationRun, Task<RunResult>> work) => Completion = Task.Run(() => work(this), CancellationToken.None);

    /// <summary>Stops it; nothing when it has ended and been disposed of already.</summary>
    public void Stop(CancellationReason reason)
    {
        try
        {
            Call.Cancellation.Stop(reason);
        }
        catch (ObjectDisposedException)
        {
            // It ended between the look that found it and this.
        }
    }

    /// <exception cref="MemoryExhaustedException">The process has no memory for it: the run ends.</exception>
    public void Add(GenerationEvent made)
    {
        Count(EventLog.SizeOf(made));
        Events.Add(made);
        Note(made);
    }

    /// <summary>An event of a provider in the client's own dialect.</summary>
    /// <param name="made">The event.</param>
    /// <param name="understood">What it says, as far as the inner language has a word for it.</param>
    /// <exception cref="MemoryExhaustedException">The process has no memory for it: the run ends.</exception>
    public void Add(NativeEvent made, GenerationEvent? understood)
    {
        Count(EventLog.SizeOf(made));
        Events.Add(made);
        if (understood is not null) Note(understood);
    }

    /// <summary>
    /// Counts what is kept of an event until the run is over: its text in the answer, in the progress and among what waits to be written.
    /// In pieces, not by event.
    /// </summary>
    private void Count(long bytes)
    {
        _uncounted += 2 * bytes;
        if (_uncounted < CountedPiece) return;
        if (!_memory.TryTake(_uncounted)) throw new MemoryExhaustedException(MemoryBudget.Overloaded);
        _uncounted = 0;
    }

    private void Note(GenerationEvent made)
    {
        Answer.Add(made);
        _hasContent |= made.IsContent;
        lock (_gate)
        {
            if (made is OutputRepaired) (_taken, _) = (0, _text.Clear());
            else if (made is TextDelta { Choice: 0 } text) _text.Append(text.Text);
        }
    }

    /// <summary>Tells those who follow it of warnings that have come since.</summary>
    public void TellWarnings()
    {
        var warnings = Call.Warnings;
        // What was told once cannot be begun anew, and a warning alone is not worth that.
        if (ReferenceEquals(warnings, _warned) || warnings.Count == 0 || (CannotRestartStream && !_hasContent)) return;
        foreach (var warning in warnings)
        {
            if (!_warned.Contains(warning)) Events.Add(new GenerationWarned(warning.Code, warning.Message));
        }
        _warned = warnings;
    }

    /// <summary>How far it has come, or null when no text has come since it was last taken.</summary>
    public byte[]? TakeProgress(TokenCounter counter)
    {
        lock (_gate)
        {
            if (_text.Length == _taken) return null;
            _taken = _text.Length;
        }
        return ProgressBy(counter).ToBytes();
    }

    public void Dispose()
    {
        _memory.Dispose();
        Call.Cancellation.Dispose();
        Call.Body.Dispose();
    }
}
