using Fairlead.Access;
using Fairlead.Auditing.Content;
using Fairlead.Auditing.Ledger;
using Fairlead.Http;

namespace Fairlead.Auditing.Exports;

/// <summary><c>GET /admin/v1/audit/export</c>: all records that match, as one file. Thread-safe.</summary>
internal sealed class AuditExportEndpoints(LedgerShipper shipper, AuditExporter exporter, IAdminAudit? actions = null)
{
    private static readonly TimeSpan MaxCatchUp = TimeSpan.FromSeconds(2);

    public async Task<EndpointResult> ExportAsync(EndpointRequest request)
    {
        var reader = new QueryReader(request.Query, [.. AuditQuery.FilterNames, "format", ContentView.Parameter], AuditQuery.MetadataPrefix);
        var query = AuditQuery.ReadFilters(reader);
        var format = ExportFormats.Parse(reader.OneOf("format", ExportFormats.Names) ?? ExportFormats.Names[0]);
        var hasContent = ContentView.IsAsked(reader, request.Caller);
        if (reader.Error is { } error) return error;
        query = query with { OrganizationId = request.Caller.Reach.Narrow(query.OrganizationId) };
        if (hasContent) actions?.Record(ContentView.Reading(request, query.OrganizationId));
        await shipper.CatchUpAsync(MaxCatchUp, request.Cancellation);
        var first = await exporter.FirstAsync(query, request.Cancellation);
        return EndpointResult.Body(format.ContentType(), length: null, async (output, cancellationToken) =>
        {
            await using var stream = output.AsStream(leaveOpen: true);
            await exporter.WriteAsync(stream, format, query, first, cancellationToken, hasContent);
        }).WithHeader("Content-Disposition", $"attachment; filename=\"audit.{format.ToWire()}\"");
    }
}
