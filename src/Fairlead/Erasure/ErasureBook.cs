using Fairlead.Access;
using Fairlead.Storage;

namespace Fairlead.Erasure;

/// <summary>Adds erasures, and knows what was erased. Thread-safe.</summary>
internal sealed class ErasureBook(IStorage storage, IAdminAudit audit) : IErasedGenerations
{
    /// <summary>Adds an erasure with its audit record; a node starts it soon.</summary>
    /// <param name="row">The erasure.</param>
    /// <param name="actor">Who wants it.</param>
    /// <param name="cancellationToken">Stops before the commit.</param>
    public async Task AddAsync(ErasureRow row, AdminActor actor, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await ErasureTable.ResumeFailedAsync(connection, cancellationToken);
        await ErasureTable.InsertAsync(connection, row, cancellationToken);
        await audit.RecordAsync(
            connection,
            new AdminAction(actor, "erasure.create")
            {
                ResourceType = "erasure",
                ResourceId = row.Id,
                OrganizationId = row.Selector.OrganizationId,
                ProjectId = row.Selector.ProjectId,
                After = json => ErasureJson.WriteRecord(json, row),
            },
            cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        audit.Committed();
        storage.Notifier.Announce(ErasureWorker.Channel, row.Id);
    }

    public async Task<bool> ContainsAsync(string projectId, string generationId, bool withRecord, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        return await connection.Int64Async(
            $"""
            SELECT 1 FROM erased_generations WHERE generation_id = @id AND project_id = @project
                {(withRecord ? "AND erasure_id IN (SELECT id FROM erasures WHERE what = 'all')" : "")} LIMIT 1
            """,
            [("@id", storage.Sql.Storable(generationId)), ("@project", projectId)], cancellationToken) is not null;
    }
}
