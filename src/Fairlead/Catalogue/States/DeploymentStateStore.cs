using Fairlead.Storage;

namespace Fairlead.Catalogue.States;

/// <summary>
/// Reads and changes the states of deployments in the database. Reads run one after another, so that a later one never restores an earlier
/// state. A read that fails leaves the known states in force. Thread-safe.
/// </summary>
internal sealed class DeploymentStateStore(IStorage storage, DeploymentStates states, TimeProvider time) : IDisposable
{
    private readonly SemaphoreSlim _gate = new(1, 1);

    /// <summary>When it returns, everything that was committed before the call is in force here.</summary>
    public async Task RefreshAsync(CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            await using var connection = await storage.OpenAsync(cancellationToken);
            states.Replace(await connection.QueryAsync(
                "SELECT deployment FROM deployment_states WHERE state = @drained", [("@drained", DeploymentStateNames.Drained)],
                row => row.Text("deployment"), cancellationToken));
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>Sets the state of a deployment. False if it was in it already.</summary>
    /// <param name="deployment">Its name.</param>
    /// <param name="state">One of <see cref="DeploymentStateNames"/>.</param>
    /// <param name="keyId">The key of the operator.</param>
    /// <param name="cancellationToken">Stops it before the change.</param>
    public async Task<bool> SetAsync(string deployment, string state, string keyId, CancellationToken cancellationToken)
    {
        // A deployment without a row is active.
        var sql = state == DeploymentStateNames.Active
            ? """
              UPDATE deployment_states SET state = @state, changed_at = @now, changed_by = @key
              WHERE deployment = @deployment AND state <> @state
              """
            : """
              INSERT INTO deployment_states (deployment, state, changed_at, changed_by) VALUES (@deployment, @state, @now, @key)
              ON CONFLICT (deployment) DO UPDATE SET state = excluded.state, changed_at = excluded.changed_at, changed_by = excluded.changed_by
              WHERE deployment_states.state <> excluded.state
              """;
        return await storage.ExecuteAsync(sql,
            [("@deployment", deployment), ("@state", state), ("@now", time.GetUtcNow()), ("@key", keyId)], cancellationToken) > 0;
    }

    public void Dispose() => _gate.Dispose();
}
