using System.Text;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Pipeline;
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
    private int _taken;

    public GenerationRun(GatewayCall call, CallCancellation cancellation)
    {
        Call = call;
        call.Cancellation = cancellation;
    }

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

    public void Add(string text)
    {
        lock (_gate) _text.Append(text);
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
