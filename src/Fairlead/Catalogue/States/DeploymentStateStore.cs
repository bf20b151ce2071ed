using System.Data.Common;
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
    /// <param name="record">Records the change in its transaction, with the state before; null for no record.</param>
    /// <param name="cancellationToken">Stops it before the change.</param>
    public async Task<bool> SetAsync(
        string deployment, string state, string keyId, Func<DbConnection, string, Task>? record, CancellationToken cancellationToken)
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
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var before = await connection.TextAsync(
            "SELECT state FROM deployment_states WHERE deployment = @deployment" + storage.Sql.ForUpdate, [("@deployment", deployment)],
            cancellationToken) ?? DeploymentStateNames.Active;
        var changed = await connection.ExecuteAsync(sql,
            [("@deployment", deployment), ("@state", state), ("@now", time.GetUtcNow()), ("@key", keyId)], cancellationToken);
        if (changed == 0) return false;
        if (record is not null) await record(connection, before);
        await transaction.CommitAsync(cancellationToken);
        return true;
    }

    public void Dispose() => _gate.Dispose();
}
