using Fairlead.Access;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;

namespace Fairlead.Erasure;

/// <summary>
/// <c>/admin/v1/erasures</c>: requests an erasure, and shows how far erasures are. Owners erase everywhere, an organization_admin in its
/// organization; what is erased cannot be brought back, so operators do not. Thread-safe.
/// </summary>
internal sealed class ErasureEndpoints(IStorage storage, ErasureBook book, TimeProvider time, ILogger<ErasureEndpoints> logger) : IAdminEndpoints
{
    private const string Path = "/erasures";

    private static readonly string[] Statuses = [ErasureRow.Queued, ErasureRow.Running, ErasureRow.Completed, ErasureRow.Failed];

    public void Map(EndpointRoutes read, EndpointRoutes write)
    {
        read.OfOrganizations.Read(Path, ListAsync);
        read.OfOrganizations.Read(Path + "/{id}", GetAsync);
        write.OfOrganizations.Post(Path, CreateAsync);
    }

    private async Task<EndpointResult> CreateAsync(EndpointRequest request)
    {
        if (request.Caller.Admin?.Role is not (AdminRole.Owner or AdminRole.OrganizationAdmin))
        {
            return new GatewayError(ErrorCode.InsufficientScope, "An erasure needs the role owner, or organization_admin in its organization.")
            {
                Remedy = "Use a key with one of these roles, or ask an owner.",
            };
        }
        using var body = await request.ReadJsonAsync();
        var wanted = ErasureRequest.Read(body.RootElement);
        ErasureRow row;
        await using (var connection = await storage.OpenAsync(request.Cancellation))
            row = await wanted.ToRowAsync(connection, request.Caller.Reach, time, request.Cancellation);
        await book.AddAsync(row, request.Actor, request.Cancellation);
        logger.ErasureRequested(row.Id, row.Selector.Kind.ToWire(), request.Caller.KeyId);
        return EndpointResult.Accepted(
            request.Site, $"{AdminApi.Root}{Path}/{row.Id}", json => ErasureJson.Write(json, row, new Dictionary<string, long>()));
    }

    private async Task<EndpointResult> GetAsync(EndpointRequest request)
    {
        await using var connection = await storage.OpenAsync(request.Cancellation);
        var row = await ErasureTable.FindAsync(connection, storage.Sql.Storable(request.Id), request.Cancellation);
        if (row is null || !request.Caller.Reach.Sees(row.Selector.OrganizationId)) throw EndpointErrors.NotFound("erasure");
        var counts = await ErasureTable.CountsAsync(connection, row.Id, request.Cancellation);
        return EndpointResult.Json(json => ErasureJson.Write(json, row, counts));
    }

    private async Task<EndpointResult> ListAsync(EndpointRequest request)
    {
        var page = ListPage.Read(request, ErasureRow.Prefix, "organization_id", "status");
        var status = page.Filter("status");
        if (status is not null && !Statuses.Contains(status))
            return GatewayError.Invalid("status", $"The parameter 'status' must be one of {string.Join(", ", Statuses)}.");
        await using var connection = await storage.OpenAsync(request.Cancellation);
        var rows = await ErasureTable.ListAsync(
            connection, page.After, request.Caller.Reach.Narrow(page.Filter("organization_id")), status, page.Limit + 1, request.Cancellation);
        var counts = new Dictionary<string, SortedDictionary<string, long>>(StringComparer.Ordinal);
        foreach (var row in rows) counts[row.Id] = await ErasureTable.CountsAsync(connection, row.Id, request.Cancellation);
        return page.ToResult(rows, row => row.Id, (json, row) => ErasureJson.Write(json, row, counts[row.Id]));
    }
}
