using Fairlead.Access.Tokens;
using Fairlead.Configuration;

namespace Fairlead.Access;

/// <summary>Checks the settings of identity providers against each other.</summary>
internal sealed class AuthenticationConfigRules : ConfigRules
{
    public override IEnumerable<ConfigurationError> Check(GatewayConfiguration configuration)
    {
        var seen = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var (name, issuer) in configuration.Authentication.Oidc)
        {
            var key = $"fairlead.authentication.oidc.{name}";
            // Required keys have their errors already.
            if (issuer.Issuer.Length > 0 && !seen.TryAdd(issuer.Issuer, name))
            {
                yield return new($"{key}.issuer", issuer.Issuer, $"The issuer is that of '{seen[issuer.Issuer]}' too.",
                    "Write one entry for each issuer; an entry can have several audiences.");
            }
            if (issuer.Audiences.Count == 0)
            {
                yield return new($"{key}.audiences", null, "No audience is named, so tokens for other services would be accepted.",
                    "Name the audience that your identity provider puts into tokens for this server.");
            }
            foreach (var (field, address) in new[] { ("issuer", issuer.JwksUri is null && issuer.Authority is null ? issuer.Issuer : null),
                ("authority", issuer.Authority), ("jwksUri", issuer.JwksUri) })
            {
                if (address is { Length: > 0 } && IssuerAddress.ErrorOf(address) is { } error)
                    yield return new($"{key}.{field}", address, error, "Write an https address. http is accepted for this machine only.");
            }
            if ((issuer.Claims.Project ?? issuer.Claims.Organization) is not null && issuer.Organization is null && issuer.Projects.Count == 0)
            {
                yield return new($"{key}.organization", null,
                    "A claim chooses the project or organization, and nothing says which ones this issuer may choose.",
                    "Name the organization by its id, or its projects in 'projects'. Write 'any' if the issuer speaks for the whole installation.");
            }
            if (issuer.Project is { } project && issuer.Projects.Count > 0 && !issuer.Projects.Contains(project))
            {
                yield return new($"{key}.project", project, "Not among the 'projects' of the issuer.", "Add it there, or name one of them here.");
            }
            foreach (var (scope, i) in issuer.Scopes.Select((scope, i) => (scope, i)))
            {
                if (Scopes.OfCalls.Contains(scope)) continue;
                yield return new($"{key}.scopes[{i}]", scope, "Not a scope of calls.",
                    $"Use {string.Join(", ", Scopes.OfCalls)}. Rights of administration are given by 'roles'.");
            }
            foreach (var (value, role) in issuer.Roles)
            {
                if (issuer.Claims.Role is null)
                {
                    yield return new($"{key}.claims.role", null, "Roles are mapped, but no claim has them.",
                        "Name the claim, such as groups or realm_access.roles.");
                    break;
                }
                if (AdminRoles.Find(role) is null)
                    yield return new($"{key}.roles.{value}", role, "Not a role.", $"Use one of {string.Join(", ", AdminRoles.Names)}.");
            }
        }
    }
}
