using Fairlead.Http;

namespace Fairlead.Access;

/// <summary>Endpoints under <c>/admin/v1</c>. All registered ones are mapped.</summary>
internal interface IAdminEndpoints
{
    /// <param name="read">Endpoints that require <c>admin:read</c>.</param>
    /// <param name="write">Endpoints that require <c>admin:write</c>.</param>
    void Map(EndpointRoutes read, EndpointRoutes write);
}
