namespace Fairlead.Access;

/// <summary>The organizations that a caller sees in administration: none by default, all, or one. Immutable.</summary>
internal readonly record struct AdminReach
{
    /// <summary>The id of no organization, for filters that must find nothing.</summary>
    private const string Nobody = "-";

    private readonly string? _only;

    private AdminReach(bool isAll, string? only) => (IsAll, _only) = (isAll, only);

    public static AdminReach All => new(true, null);

    /// <summary>Whether all organizations, and what belongs to none, are seen.</summary>
    public bool IsAll { get; }

    /// <summary>Only the organization; null for none.</summary>
    public static AdminReach Of(string? organizationId) => new(false, organizationId);

    /// <summary>Whether something of this organization is seen. Null is what belongs to the whole installation.</summary>
    public bool Sees(string? organizationId) => IsAll || (organizationId is not null && organizationId == _only);

    /// <summary>
    /// The filter by organization of a list: the requested one within what is seen. An organization that is not seen has no rows.
    /// </summary>
    /// <param name="requested">The organization that the client names; null for all.</param>
    public string? Narrow(string? requested) =>
        IsAll ? requested : _only is not null && (requested is null || requested == _only) ? _only : Nobody;
}
