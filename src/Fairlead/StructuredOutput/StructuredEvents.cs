using Fairlead.Conversation;
using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.StructuredOutput;

/// <summary>
/// The events of a response with the values of its document among them, each directly after the text that completed it. If the document
/// violates its schema, another response may follow. One reader.
/// </summary>
/// <param name="call">The call.</param>
/// <param name="wish">The schema for its output.</param>
/// <param name="source">The response; disposed with this.</param>
/// <param name="again">Asks again, with the violations and the text so far. Null when no deployment responded.</param>
internal sealed class StructuredEvents(
    GatewayCall call, OutputCheck wish, IEventSource source, Func<IReadOnlyList<SchemaViolation>, string, CancellationToken,
        ValueTask<GatewayReply?>> again) : IEventSource
{
    private readonly List<PartialValue> _found = [];
    private IEventSource _source = source;
    private PartialJson _json = new(wish.Schema);
    private bool _isRefusal;
    private bool _isChecked;
    private bool _isRepaired = !wish.Repairs;
    private ChoiceFinished? _withheld;
    private bool _ended;

    public bool BuffersAhead => _source.BuffersAhead;

    public async ValueTask<bool> ReadAsync(EventBatch batch, CancellationToken cancellationToken)
    {
        while (!_ended)
        {
            if (await _source.ReadAsync(batch, cancellationToken))
            {
                Read(batch);
                if (batch.Items.Count > 0) return true;
                continue;
            }
            // Only at the very end, when its whole cost is known.
            if (_withheld is { } finished)
            {
                _withheld = null;
                _isRepaired = true;
                batch.Clear();
                // It failed after its end: the client gets this error.
                if (call.Answering?.Error is not null) continue;
                await RepairAsync(batch, finished, cancellationToken);
                return true;
            }
            _ended = true;
        }
        batch.Clear();
        return false;
    }

    public async ValueTask DisposeAsync()
    {
        _json.Dispose();
        await _source.DisposeAsync();
    }

    private async ValueTask RepairAsync(EventBatch batch, ChoiceFinished finished, CancellationToken cancellationToken)
    {
        var violations = call.Violations!;
        if (await again(violations, _json.Text, cancellationToken) is not GatewayReply.Streaming streaming)
        {
            batch.Add(finished);
            return;
        }
        var first = _source;
        _source = streaming.Events;
        _json.Dispose();
        _json = new PartialJson(wish.Schema);
        _isRefusal = _isChecked = false;
        call.Violations = null;
        call.Quality.SchemaValid = null;
        batch.Add(new OutputRepaired(violations));
        await first.DisposeAsync();
    }

    private void Read(EventBatch batch)
    {
        for (var i = 0; i < batch.Items.Count; i++)
        {
            switch (batch.Items[i].Event)
            {
                case TextDelta { Choice: 0 } text:
                    _json.Add(text.Text, _found);
                    i += Insert(batch, i + 1);
                    break;
                case RefusalDelta { Choice: 0 }:
                    _isRefusal = true;
                    break;
                // A truncated or filtered response, or a tool call, is not a document; its own finish reason says so.
                case ChoiceFinished { Choice: 0, Reason: FinishReason.Stop } finished when !_isRefusal && !_isChecked:
                    // Some providers report it twice.
                    _isChecked = true;
                    call.Violations = _json.Finish(_found);
                    call.Quality.SchemaValid = call.Violations.Count == 0;
                    i += Insert(batch, i);
                    if (call.Violations.Count == 0 || _isRepaired) break;
                    _withheld = finished;
                    batch.Items.RemoveAt(i--);
                    break;
            }
        }
    }

    private int Insert(EventBatch batch, int at)
    {
        var count = _found.Count;
        for (var i = 0; i < count; i++) batch.Items.Insert(at + i, new StreamItem(_found[i]));
        _found.Clear();
        return count;
    }
}
