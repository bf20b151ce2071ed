using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.Policies.Checking;

/// <summary>
/// The events of a response as far as the content policies let them pass. When a rule stops the output, the source is closed, which cancels
/// the provider's work. One reader.
/// </summary>
/// <param name="call">The call.</param>
/// <param name="policy">Its policies.</param>
/// <param name="source">The response; disposed with this.</param>
internal sealed class GuardedEvents(GatewayCall call, CallPolicy policy, IEventSource source) : IEventSource
{
    private readonly EventBatch _incoming = new();
    private readonly OutputFilter _filter = new(call, policy);
    private bool _hasEnded;
    private bool _isClosed;

    public bool BuffersAhead => source.BuffersAhead;

    public async ValueTask<bool> ReadAsync(EventBatch batch, CancellationToken cancellationToken)
    {
        batch.Clear();
        while (!_hasEnded)
        {
            if (await source.ReadAsync(_incoming, cancellationToken))
            {
                foreach (var item in _incoming.Items)
                {
                    await _filter.AddAsync(item.Event ?? throw Unreadable(), batch, cancellationToken);
                    if (_filter.IsBlocked) break;
                }
                _incoming.Clear();
            }
            else
            {
                _hasEnded = true;
                await _filter.CompleteAsync(batch, cancellationToken);
            }
            if (_filter.IsBlocked)
            {
                _hasEnded = true;
                await CloseAsync();
            }
            if (batch.Items.Count > 0) return true;
        }
        return false;
    }

    public ValueTask DisposeAsync()
    {
        _incoming.Dispose();
        _filter.Dispose();
        return CloseAsync();
    }

    private ValueTask CloseAsync()
    {
        if (_isClosed) return default;
        _isClosed = true;
        return source.DisposeAsync();
    }

    private static InvalidOperationException Unreadable() => new("A native event cannot be checked by a content policy.");
}
