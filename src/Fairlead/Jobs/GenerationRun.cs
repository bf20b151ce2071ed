using System.Text;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Streaming;

namespace Fairlead.Jobs;

/// <summary>How a run ended: all that a client, the database and a webhook want to know of it.</summary>
internal sealed record RunResult(Outcome Outcome, int Status, byte[] Body, byte[] Details, GatewayError? Error, CancellationReason Stopped);

/// <summary>
/// A generation under way on this node without a client that holds it: its call, its body, and the text so far. Disposed when it has
/// ended and its result is kept. <see cref="TakeText"/> and <see cref="Stop"/> are thread-safe.
/// </summary>
internal sealed class GenerationRun : IDisposable
{
    private readonly Lock _gate = new();
    private readonly StringBuilder _text = new();
    private readonly bool _tellsOnce;
    private int _taken;

    /// <param name="call">Its call.</param>
    /// <param name="cancellation">Its token.</param>
    /// <param name="earlierEvents">Events that earlier runs of the generation have written.</param>
    public GenerationRun(GatewayCall call, CallCancellation cancellation, int earlierEvents = 0)
    {
        Call = call;
        call.Cancellation = cancellation;
        _tellsOnce = TellsOnce(call);
        // Whoever follows it has to hear that what was said is void.
        Events = new RunEventLog(call.Time) { Start = earlierEvents, Watched = earlierEvents > 0 || call.Facts.Stream };
        if (earlierEvents > 0) Events.Add(new GenerationRestarted(call.Run));
    }

    public static bool TellsOnce(GatewayCall call) => call.Dialect.KeepsStream(call) && !call.Dialect.CanRestart;

    /// <summary>What it makes, for those who follow it.</summary>
    public RunEventLog Events { get; }

    /// <summary>Its dialect cannot say that another run begins, and a part of its stream has been told.</summary>
    public bool IsTold => _tellsOnce && Events.Shown.Count > 0;

    /// <summary>What has been made of the answer.</summary>
    public AnswerBuilder Answer { get; } = new();

    public GatewayCall Call { get; }

    public string Id => Call.GenerationId;

    public Task<RunResult> Completion { get; private set; } = null!;

    /// <summary>Text of the first choice so far.</summary>
    public string Text
    {
        get
        {
            lock (_gate) return _text.ToString();
        }
    }

    public void Start(Func<GenerationRun, Task<RunResult>> work) => Completion = Task.Run(() => work(this), CancellationToken.None);

    public void Stop(CancellationReason reason) => Call.Cancellation.Stop(reason);

    public void Add(GenerationEvent made)
    {
        Answer.Add(made);
        Events.Add(made);
        lock (_gate)
        {
            if (made is OutputRepaired) (_taken, _) = (0, _text.Clear());
            else if (made is TextDelta { Choice: 0 } text) _text.Append(text.Text);
        }
    }

    /// <summary>The text so far, or null when there is none that was not taken before.</summary>
    public byte[]? TakeText()
    {
        lock (_gate)
        {
            if (_text.Length == _taken) return null;
            _taken = _text.Length;
            return Encoding.UTF8.GetBytes(_text.ToString());
        }
    }

    public void Dispose()
    {
        Call.Cancellation.Dispose();
        Call.Body.Dispose();
    }
}
