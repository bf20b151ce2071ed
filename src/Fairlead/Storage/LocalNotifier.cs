using System.Collections.Immutable;

namespace Fairlead.Storage;

/// <summary>Notices within this process. Thread-safe.</summary>
internal sealed class LocalNotifier : IDatabaseNotifier
{
    private ImmutableDictionary<string, ImmutableArray<Subscription>> _subscriptions =
        ImmutableDictionary<string, ImmutableArray<Subscription>>.Empty;

    public void Announce(string channel, string subject) => Notify(channel, subject);

    public IDisposable Subscribe(string channel, Action<string?> received)
    {
        var subscription = new Subscription(this, channel, received);
        ImmutableInterlocked.AddOrUpdate(ref _subscriptions, channel, [subscription], (_, others) => others.Add(subscription));
        return subscription;
    }

    public void Notify(string channel, string? subject)
    {
        if (!_subscriptions.TryGetValue(channel, out var subscriptions)) return;
        foreach (var subscription in subscriptions) subscription.Received(subject);
    }

    /// <summary>Notices of any channel may have been lost.</summary>
    public void NotifyAll()
    {
        foreach (var channel in _subscriptions.Keys) Notify(channel, null);
    }

    private void Remove(Subscription subscription)
    {
        while (_subscriptions.TryGetValue(subscription.Channel, out var known))
        {
            if (ImmutableInterlocked.TryUpdate(ref _subscriptions, subscription.Channel, known.Remove(subscription), known)) return;
        }
    }

    private sealed class Subscription(LocalNotifier owner, string channel, Action<string?> received) : IDisposable
    {
        public string Channel => channel;

        public Action<string?> Received => received;

        public void Dispose() => owner.Remove(this);
    }
}
