using Fairlead.Http;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Access;

internal static class AdminEndpointRouteBuilderExtensions
{
    private const string Root = "/admin/v1";

    /// <summary>Organizations, projects and keys. Reading requires <c>admin:read</c>, everything else <c>admin:write</c>.</summary>
    internal static void MapAdmin(this IEndpointRouteBuilder endpoints)
    {
        var services = endpoints.ServiceProvider;
        var door = services.GetRequiredService<AdminDoor>();

        var organizations = services.GetRequiredService<OrganizationEndpoints>();
        Read("/organizations", organizations.ListAsync);
        Read("/organizations/{id}", organizations.GetAsync);
        Write("POST", "/organizations", organizations.CreateAsync);
        Write("PATCH", "/organizations/{id}", organizations.ChangeAsync);
        Write("DELETE", "/organizations/{id}", organizations.DeleteAsync);

        var projects = services.GetRequiredService<ProjectEndpoints>();
        Read("/projects", projects.ListAsync);
        Read("/projects/{id}", projects.GetAsync);
        Write("POST", "/projects", projects.CreateAsync);
        Write("PATCH", "/projects/{id}", projects.ChangeAsync);
        Write("DELETE", "/projects/{id}", projects.DeleteAsync);

        var keys = services.GetRequiredService<KeyEndpoints>();
        Read("/keys", keys.ListAsync);
        Read("/keys/{id}", keys.GetAsync);
        Write("POST", "/keys", keys.CreateAsync);
        Write("PATCH", "/keys/{id}", keys.ChangeAsync);
        Write("DELETE", "/keys/{id}", keys.DeleteAsync);
        Write("POST", "/keys/{id}/rotate", keys.RotateAsync);
        Write("POST", "/keys/{id}/revoke", keys.RevokeAsync);

        void Read(string path, AdminHandler handler) => endpoints.MapRead(Root + path, Guarded(Scopes.AdminRead, handler));

        void Write(string method, string path, AdminHandler handler) =>
            endpoints.MapMethods(Root + path, [method], Guarded(Scopes.AdminWrite, handler));

        RequestDelegate Guarded(string scope, AdminHandler handler) => context => door.EnterAsync(context, scope, handler);
    }
}
