using System.Text;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Generations.Events;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.TokenCounting;

namespace Fairlead.Generations;

/// <summary>How a run ended, for clients, the database and webhooks.</summary>
internal sealed record RunResult(Outcome Outcome, int Status, byte[] Body, byte[] Details, GatewayError? Error, CancellationReason Stopped);

/// <summary>
/// A run of a generation on this node that does not depend on a client: its call, its body, and the text so far. Disposed when it has ended
/// and its result is stored. <see cref="TakeProgress"/> and <see cref="Stop"/> are thread-safe.
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

    /// <summary>Memory is counted in pieces of so many bytes, and not for each event.</summary>
    private const int CountedPiece = 16 * 1024;

    /// <param name="call">The call.</param>
    /// <param name="cancellation">The token of the call.</param>
    /// <param name="earlierEvents">Events that earlier runs of the generation have written.</param>
    /// <param name="memory">Counts the logs of all runs.</param>
    public GenerationRun(GatewayCall call, CallCancellation cancellation, int earlierEvents = 0, EventMemory? memory = null)
    {
        Call = call;
        call.Cancellation = cancellation;
        // Not every dialect can declare delivered events void. Then no other run may follow one that was read.
        CannotRestartStream = call.Dialect.StoredStreams is { CanRestart: false } streams && streams.IsStored(call);
        // Readers of earlier events must see that these are void.
        _memory = memory?.Lease() ?? new MemoryLease(null);
        Events = new RunEventLog(call.Time, memory) { Start = earlierEvents, Watched = earlierEvents > 0 || call.Streams };
        if (earlierEvents > 0) Events.Add(new GenerationRestarted(call.Run));
    }

    /// <summary>Whether its stream is stored and cannot start again after a part of it was read.</summary>
    public bool CannotRestartStream { get; }

    /// <summary>Its events, for readers.</summary>
    public RunEventLog Events { get; }

    /// <summary>No other run may follow this one: a part of its stream may have been read, and it cannot start again.</summary>
    public bool IsLast => IsAwaited || (CannotRestartStream && Events.Shown.Count > 0);

    /// <summary>A client waits for this run and gets its error, so that it can decide itself whether to send the request again.</summary>
    public bool IsAwaited { get; set; }

    /// <summary>
    /// How it is postponed; null if it ends. Once its reservation was handed over, it does not end, whatever part of its stream is read.
    /// </summary>
    public Postponement? Postponement => Call.HandedOver || !IsLast ? Call.QueuedRun?.Postponed : null;

    /// <summary>The output so far.</summary>
    public OutputBuilder Output { get; } = new();

    public GatewayCall Call { get; }

    public string Id => Call.GenerationId;

    public Task<RunResult> Completion { get; private set; } = null!;

    /// <summary>Its progress.</summary>
    public GenerationProgress ProgressBy(TokenCounter counter)
    {
        string text;
        lock (_gate) text = _text.ToString();
        var answering = Call.Answering;
        var outputTokens = answering is null ? 0 : counter.EstimateOutput(answering.Meter, Call.Model);
        return new GenerationProgress(text, Call.InputEstimate.Tokens, outputTokens);
    }

    /// <summary>
    /// Continues an accepted call with its address, reservation, limits and warnings. The call ends with this run.
    /// </summary>
    public void TakeOver(GatewayCall accepted)
    {
        Call.Address = accepted.Address;
        Call.Site = accepted.Site;
        Call.Reservation = accepted.Reservation;
        Call.Limits = accepted.Limits;
        Call.CacheControl = accepted.CacheControl;
        Call.Policy = accepted.Policy;
        foreach (var warning in accepted.Warnings) Call.Warn(warning.Code, warning.Message);
        accepted.Reservation = null;
        accepted.HandedOver = true;
    }

    public void Start(Func<GenerationRun, Task<RunResult>> work) => Completion = Task.Run(() => work(this), CancellationToken.None);

    /// <summary>Stops it. Does nothing if it has ended.</summary>
    public void Stop(CancellationReason reason)
    {
        try
        {
            Call.Cancellation.Stop(reason);
        }
        catch (ObjectDisposedException)
        {
            // It ended after the caller found it.
        }
    }

    /// <exception cref="MemoryExhaustedException">The process has no memory for it. The run ends.</exception>
    public void Add(GenerationEvent made)
    {
        Count(EventLog.SizeOf(made));
        Events.Add(made);
        Note(made);
    }

    /// <summary>An event of a provider in the client's own dialect.</summary>
    /// <param name="made">The event.</param>
    /// <param name="understood">The same in the canonical form; null if that cannot express it.</param>
    /// <exception cref="MemoryExhaustedException">The process has no memory for it. The run ends.</exception>
    public void Add(NativeEvent made, GenerationEvent? understood)
    {
        Count(EventLog.SizeOf(made));
        Events.Add(made);
        if (understood is not null) Note(understood);
    }

    /// <summary>
    /// Counts the memory that an event takes until the run ends: its text in the output, in the progress and among the events that are not
    /// written yet.
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
        Output.Add(made);
        _hasContent |= made.IsContent;
        lock (_gate)
        {
            if (made is OutputRepaired) (_taken, _) = (0, _text.Clear());
            else if (made is TextDelta { Choice: 0 } text) _text.Append(text.Text);
        }
    }

    /// <summary>Adds the warnings of the call that are not among the events yet.</summary>
    public void AddWarnings()
    {
        var warnings = Call.Warnings;
        // A stream that cannot restart is not repeated after its first event, so that event should not be a warning.
        if (ReferenceEquals(warnings, _warned) || warnings.Count == 0 || (CannotRestartStream && !_hasContent)) return;
        foreach (var warning in warnings)
        {
            if (!_warned.Contains(warning)) Events.Add(new GenerationWarned(warning.Code, warning.Message));
        }
        _warned = warnings;
    }

    /// <summary>Its progress, or null if there is no new text since the last call.</summary>
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
