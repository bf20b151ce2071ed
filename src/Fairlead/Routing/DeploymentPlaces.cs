using System.Collections.Concurrent;
using Fairlead.Catalogue;

namespace Fairlead.Routing;

/// <summary>
/// Counts the attempts at each deployment against its <c>maxConcurrency</c>. Deployments are known by name, so that the count outlives a reload and
/// is one for all models that list the same deployment; each asks by its own bound. Thread-safe.
/// </summary>
internal sealed class DeploymentPlaces(TimeProvider time)
{
    private readonly ConcurrentDictionary<string, Places> _places = new(StringComparer.Ordinal);

    /// <summary>Takes a place, which must be given back, if one is free and nobody has waited for it longer.</summary>
    public bool TryTake(Deployment deployment) => deployment.MaxConcurrency is not { } most || Of(deployment).TryTake(most);

    /// <summary>Takes a place as soon as there is one, in the order of asking.</summary>
    /// <param name="deployment">Where.</param>
    /// <param name="patience">How long at most; infinite for as long as it takes.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>Whether there was one; it must be given back then.</returns>
    /// <exception cref="OperationCanceledException">The token fired; no place is held.</exception>
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
            // Granted in this very moment is granted.
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

        /// <summary>Null when a place was taken.</summary>
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

        /// <summary>False when the place was granted already.</summary>
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

        // By the bound that each asked with: a reload may have raised it.
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
