using System.Data.Common;
using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Http;
using Fairlead.Limits.Redis;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;

namespace Fairlead.Caching;

/// <summary>
/// <c>DELETE /admin/v1/cache</c>: deletes kept responses, of all nodes. No call gets them any more when it returns; another node learns of
/// it within two seconds. Thread-safe.
/// </summary>
internal sealed class CacheEndpoints(CacheDeletions deletions, RedisLevel redis, IStorage storage, ICatalogue catalogue,
    ILogger<CacheEndpoints> logger, IAdminAudit? audit = null) : IAdminEndpoints
{
    private const string Project = "project_id";
    private const string Model = "model";

    public void Map(EndpointRoutes read, EndpointRoutes write) => write.OfOrganizations.Delete("/cache", DeleteAsync);

    private async Task<EndpointResult> DeleteAsync(EndpointRequest request)
    {
        var query = new QueryReader(request.Query, Project, Model);
        var (project, model) = (query.Text(Project), query.Text(Model));
        if (query.Error is { } error) return error;
        if (project is null) AdminRights.RequireInstallation(request.Caller, "Deleting the kept responses of all projects");
        else
        {
            await using var connection = await storage.OpenAsync(request.Cancellation);
            var row = await ProjectTable.FindAsync(connection, project, request.Cancellation);
            if (row is null || !request.Caller.Reach.Sees(row.OrganizationId)) throw EndpointErrors.NotFound("project");
        }
        // Kept by the model, whatever name a client sends.
        if (model is not null) model = catalogue.Current.Find(model)?.Id ?? throw EndpointErrors.NotFound("model");

        // Not the request's token: a client that disconnects must not leave half of it undone.
        await deletions.AddAsync(project, model, RecordOf(request, project, model), CancellationToken.None);
        audit?.Committed();
        if (redis.IsConfigured) await RemoveFromRedisAsync(project, model);
        CacheLog.Deleted(logger, project ?? "all projects", model ?? "all models", request.Caller.KeyId);
        return EndpointResult.NoContent();
    }

    private Func<DbConnection, Task>? RecordOf(EndpointRequest request, string? project, string? model) =>
        audit is null ? null : connection => audit.RecordAsync(
            connection,
            new AdminAction(request.Actor, "cache.delete")
            {
                ResourceType = "cache",
                ProjectId = project,
                Before = json =>
                {
                    json.WriteStartObject();
                    json.WriteString(Project, project);
                    json.WriteString(Model, model);
                    json.WriteEndObject();
                },
            },
            CancellationToken.None);

    // No call finds what is left there. It is removed so that its content is gone too.
    private async Task RemoveFromRedisAsync(string? project, string? model)
    {
        try
        {
            await redis.RemoveAllAsync(CacheKeys.PatternOf(project, model), isGone: null, CancellationToken.None);
        }
        catch (Exception exception) when (RedisErrors.IsUnavailable(exception))
        {
            CacheLog.NotRemoved(logger, RedisErrors.Describe(exception));
        }
    }
}
