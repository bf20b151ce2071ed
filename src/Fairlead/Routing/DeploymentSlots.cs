using System.Collections.Concurrent;
using Fairlead.Catalogue;

namespace Fairlead.Routing;

/// <summary>
/// Counts the attempts at each deployment against its <c>maxConcurrency</c>. Deployments are identified by name, so that the count survives
/// a reload and is shared by all models that list the same deployment; each request applies its own limit. Thread-safe.
/// </summary>
internal sealed class DeploymentSlots(TimeProvider time)
{
    private readonly ConcurrentDictionary<string, Places> _places = new(StringComparer.Ordinal);

    /// <summary>Takes a slot, which must be released, if one is free and no earlier request waits for it.</summary>
    public bool TryTake(Deployment deployment) => deployment.MaxConcurrency is not { } most || Of(deployment).TryTake(most);

    /// <summary>Takes a slot as soon as one is free, in the order of requests.</summary>
    /// <param name="deployment">The deployment.</param>
    /// <param name="patience">The longest wait; infinite for no limit.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>Whether a slot was taken; it must then be released.</returns>
    /// <exception cref="OperationCanceledException">The token fired; no slot is taken.</exception>
    public async ValueTask<bool> TakeAsync(Deployment deployment, TimeSpan patience, CancellationToken cancellationToken)
    {
        if (deployment.MaxConcurrency is not { } most) return true;
        var places = Of(deployment);
        if (places.TakeOrWait(most) is not { } waiter) return true;
        try
        {
            await waiter.Granted.Task.WaitAsync(patience, time, cancellationToken);
            return true;
        }
        catch (TimeoutException)
        {
            // A slot that is granted at this very moment counts as granted.
            return !places.Leave(waiter);
        }
        catch (OperationCanceledException)
        {
            if (!places.Leave(waiter)) places.GiveBack();
            throw;
        }
    }

    public void GiveBack(Deployment deployment)
    {
        if (deployment.MaxConcurrency is not null) Of(deployment).GiveBack();
    }

    private Places Of(Deployment deployment) => _places.GetOrAdd(deployment.Name, static _ => new Places());

    private sealed class Waiter(int most)
    {
        public int Most { get; } = most;

        public TaskCompletionSource Granted { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    private sealed class Places
    {
        private readonly Lock _gate = new();
        private readonly LinkedList<Waiter> _waiting = [];
        private int _taken;

        public bool TryTake(int most)
        {
            lock (_gate)
            {
                if (_waiting.Count > 0 || _taken >= most) return false;
                _taken++;
                return true;
            }
        }

        /// <summary>Null when a slot was taken.</summary>
        public Waiter? TakeOrWait(int most)
        {
            lock (_gate)
            {
                if (_waiting.Count == 0 && _taken < most)
                {
                    _taken++;
                    return null;
                }
                var waiter = new Waiter(most);
                _waiting.AddLast(waiter);
                Grant();
                return waiter;
            }
        }

        /// <summary>False when the slot was already granted.</summary>
        public bool Leave(Waiter waiter)
        {
            lock (_gate)
            {
                if (!_waiting.Remove(waiter)) return false;
                Grant();
                return true;
            }
        }

        public void GiveBack()
        {
            lock (_gate)
            {
                _taken--;
                Grant();
            }
        }

        // By the limit of each request: a reload may have raised it.
        private void Grant()
        {
            while (_waiting.First is { } first && _taken < first.Value.Most)
            {
                _waiting.RemoveFirst();
                _taken++;
                first.Value.Granted.SetResult();
            }
        }
    }
}
