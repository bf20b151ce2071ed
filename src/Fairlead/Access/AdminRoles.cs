namespace Fairlead.Access;

/// <summary>The names of roles, and what the scopes mean by which keys had rights of administration before there were roles.</summary>
internal static class AdminRoles
{
    private static readonly (AdminRole Role, string Name)[] Table =
    [
        (AdminRole.Owner, "owner"), (AdminRole.Operator, "operator"), (AdminRole.Auditor, "auditor"),
        (AdminRole.OrganizationAdmin, "organization_admin"),
    ];

    /// <summary>All names, as on the wire and in the database.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. Table.Select(row => row.Name)];

    public static string NameOf(AdminRole role) => Array.Find(Table, row => row.Role == role).Name;

    /// <summary>The role of a name; null for every other text.</summary>
    public static AdminRole? Find(string? name)
    {
        foreach (var row in Table)
        {
            if (row.Name == name) return row.Role;
        }
        return null;
    }

    /// <summary>The role that the scopes stand for; null for none.</summary>
    public static AdminRole? OfScopes(IReadOnlyCollection<string> scopes) =>
        scopes.Contains(Scopes.AdminAll) || scopes.Contains("*") ? AdminRole.Owner
        : scopes.Contains(Scopes.AdminWrite) ? AdminRole.Operator
        : scopes.Contains(Scopes.AdminRead) ? AdminRole.Auditor : null;

    /// <summary>Whether the scope says nothing about calls.</summary>
    public static bool IsAdminScope(string scope) => scope.StartsWith("admin:", StringComparison.Ordinal);
}
