using System.Data.Common;
using Fairlead.Conversation;
using Fairlead.Http;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;

namespace Fairlead.Access;

/// <summary>Lists, reads, creates, changes and deletes one resource of the admin API. Thread-safe.</summary>
internal sealed class AdminResourceEndpoints<TRow>(
    AdminResource<TRow> resource, IStorage storage, AccessChanges changes, CallerSnapshots snapshots, IAdminAudit audit, TimeProvider time,
    ILogger<AdminResourceEndpoints<TRow>> logger) : IAdminEndpoints
    where TRow : AdminRow
{
    private const string Organization = "organization_id";

    private readonly string _path = $"/{resource.Kind}s";

    public void Map(EndpointRoutes read, EndpointRoutes write)
    {
        if (resource.IsOfOrganizations) (read, write) = (read.OfOrganizations, write.OfOrganizations);
        read.Read(_path, ListAsync);
        read.Read(_path + "/{id}", GetAsync);
        write.Post(_path, CreateAsync);
        write.Patch(_path + "/{id}", ChangeAsync);
        write.Delete(_path + "/{id}", DeleteAsync);
    }

    private async Task<EndpointResult> ListAsync(EndpointRequest request)
    {
        var page = ListPage.Read(request, resource.IdPrefix, resource.Filters);
        var reach = request.Caller.Reach;
        if (!reach.IsAll) page.SetFilter(Organization, reach.Narrow(page.Filter(Organization)));
        await using var connection = await storage.OpenAsync(request.Cancellation);
        return page.ToResult(await resource.ListAsync(connection, page, request.Cancellation), row => row.Id, resource.Write);
    }

    private async Task<EndpointResult> GetAsync(EndpointRequest request)
    {
        await using var connection = await storage.OpenAsync(request.Cancellation);
        var row = await FindAsync(connection, request);
        return EndpointResult.Json(json => resource.Write(json, row));
    }

    private async Task<EndpointResult> CreateAsync(EndpointRequest request)
    {
        using var body = await request.ReadJsonAsync();
        var fields = new BodyFields(body.RootElement, resource.NewFields);
        var row = resource.ReadNew(fields);
        // An error of the parent is reported together with the others.
        if (!resource.HasParent) fields.ThrowIfInvalid();

        await using var change = await changes.BeginAsync(request.Cancellation);
        // Lists are paged by id, so the order of ids must be the order of commits: they are made under the lock.
        var now = time.GetUtcNow();
        row = (TRow)((AdminRow)row with { Id = Ids.New(resource.IdPrefix, time), CreatedAt = now, UpdatedAt = now });
        // A parent that the caller does not see does not exist for it.
        if (resource.HasParent && !await SeesAsync(request, change.Connection, row)) resource.AddParentError(fields);
        else await resource.CheckParentAsync(change.Connection, row, fields, request.Cancellation);
        fields.ThrowIfInvalid();
        resource.CheckRights(request.Caller, null, row);
        await resource.InsertAsync(change.Connection, row, request.Cancellation);
        await audit.RecordAsync(change.Connection, ActionOf(request, "create", null, row), request.Cancellation);
        await change.CommitAsync(request.Cancellation);
        audit.Committed();
        AdminLog.Changed(logger, $"Created {resource.Kind}", row.Id, request.Caller.KeyId);
        return EndpointResult.Created(request.Site, $"{AdminApi.Root}{_path}/{row.Id}", json => resource.Write(json, row));
    }

    private async Task<EndpointResult> ChangeAsync(EndpointRequest request)
    {
        using var body = await request.ReadJsonAsync();
        var fields = new BodyFields(body.RootElement, resource.ChangeFields);
        var apply = resource.ReadChange(fields);
        fields.ThrowIfInvalid();

        await using var change = await changes.BeginAsync(request.Cancellation);
        var known = await FindAsync(change.Connection, request);
        var row = apply(known);
        var differs = row != known;
        resource.CheckRights(request.Caller, known, row);
        if (differs)
        {
            row = (TRow)((AdminRow)row with { UpdatedAt = time.GetUtcNow() });
            await resource.UpdateAsync(change.Connection, row, request.Cancellation);
            await audit.RecordAsync(change.Connection, ActionOf(request, "update", known, row), request.Cancellation);
        }
        // Also when nothing changed: a client must not hold the lock while it reads its response.
        await change.CommitAsync(request.Cancellation);
        if (differs)
        {
            audit.Committed();
            AdminLog.Changed(logger, $"Changed {resource.Kind}", row.Id, request.Caller.KeyId);
            await snapshots.ReloadAfterChangeAsync();
        }
        return EndpointResult.Json(json => resource.Write(json, row));
    }

    private async Task<EndpointResult> DeleteAsync(EndpointRequest request)
    {
        await using var change = await changes.BeginAsync(request.Cancellation);
        var row = await FindAsync(change.Connection, request);
        resource.CheckRights(request.Caller, row, null);
        if (await resource.FindUseAsync(change.Connection, row, request.Cancellation) is { } conflict) throw conflict;
        await resource.DeleteAsync(change.Connection, row.Id, request.Cancellation);
        await audit.RecordAsync(change.Connection, ActionOf(request, "delete", row, null), request.Cancellation);
        await change.CommitAsync(request.Cancellation);
        audit.Committed();
        AdminLog.Changed(logger, $"Deleted {resource.Kind}", row.Id, request.Caller.KeyId);
        return EndpointResult.NoContent();
    }

    private AdminAction ActionOf(EndpointRequest request, string verb, TRow? before, TRow? after)
    {
        var row = (after ?? before)!;
        return new AdminAction(request.Actor, $"{resource.Kind}.{verb}")
        {
            ResourceType = resource.Kind,
            ResourceId = row.Id,
            OrganizationId = resource.OrganizationOf(row),
            ProjectId = resource.ProjectOf(row),
            Before = before is null ? null : json => resource.Write(json, before),
            After = after is null ? null : json => resource.Write(json, after),
        };
    }

    // What the caller does not see is not found, so that no response shows whether it exists.
    private async Task<TRow> FindAsync(DbConnection connection, EndpointRequest request)
    {
        var row = await resource.FindAsync(connection, request.Id, request.Cancellation);
        return row is not null && await SeesAsync(request, connection, row) ? row : throw EndpointErrors.NotFound(resource.Kind);
    }

    private async ValueTask<bool> SeesAsync(EndpointRequest request, DbConnection connection, TRow row)
    {
        var reach = request.Caller.Reach;
        return reach.IsAll || reach.Sees(await resource.OrganizationOfAsync(connection, row, request.Cancellation));
    }
}
