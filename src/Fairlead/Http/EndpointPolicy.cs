using Fairlead.Access;
using Fairlead.Errors;
using Fairlead.Storage;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Fairlead.Http;

/// <summary>What the endpoints of one family have in common.</summary>
/// <param name="Scope">The scope that their callers need.</param>
/// <param name="Shape">The format of their errors.</param>
internal sealed record EndpointPolicy(string Scope, ErrorShape Shape)
{
    /// <summary>Whether the endpoints are those of administrators, so that their use is recorded.</summary>
    public bool IsAdministration => Scope.StartsWith("admin:", StringComparison.Ordinal);

    /// <summary>Whether Anthropic's clients, which send <c>anthropic-version</c>, get their own format here. Default false.</summary>
    public bool ServesAnthropicClients { get; init; }

    /// <summary>
    /// Whether administrators of one organization are admitted: the handlers show and change only what <see cref="Caller.Reach"/> sees.
    /// Default false, so that a new endpoint of the installation is not open to them.
    /// </summary>
    public bool ForOrganizations { get; init; }

    /// <summary>Why a caller with the scope is refused all the same, or null.</summary>
    public GatewayError? Refuses(Caller caller) =>
        !ForOrganizations && caller.Admin is { Role: AdminRole.OrganizationAdmin } && AdminRoles.IsAdminScope(Scope)
            ? AdminRights.InstallationOnly : null;

    /// <summary>The error if the database or the disk is unavailable.</summary>
    public GatewayError StoreError { get; init; } =
        new(ErrorCode.StoreUnavailable, "The store could not be reached.") { RetryAfter = TimeSpan.FromSeconds(1) };

    /// <summary>Logs why the database or the disk is unavailable.</summary>
    public Action<ILogger, Exception> LogStoreError { get; init; } =
        (logger, exception) => EndpointLog.StoreFailed(logger, StorageErrors.Describe(exception));

    /// <summary>The format of errors for the client of <paramref name="request"/>.</summary>
    public ErrorShape ShapeFor(HttpRequest request) =>
        ServesAnthropicClients && request.Headers.ContainsKey("anthropic-version") ? ErrorShape.Anthropic : Shape;
}
