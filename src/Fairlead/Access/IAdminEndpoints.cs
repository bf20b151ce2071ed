using Fairlead.Http;

namespace Fairlead.Access;

/// <summary>Endpoints under <c>/admin/v1</c>. All registered ones are mapped.</summary>
internal interface IAdminEndpoints
{
    /// <param name="read">Endpoints that every role may use, except administrators of organizations.</param>
    /// <param name="write">Endpoints that owners and operators may use.</param>
    /// <remarks>What is in an organization is mapped with <see cref="EndpointRoutes.OfOrganizations"/>, and then looks at <see cref="Caller.Reach"/>.</remarks>
    void Map(EndpointRoutes read, EndpointRoutes write);
}
