namespace Fairlead.Access;

/// <summary>The secrets of a first start, to be shown once.</summary>
/// <param name="ClientKey">A key that calls models; null when <c>FAIRLEAD_CLIENT_KEY</c> is set.</param>
/// <param name="AdminKey">A key for administration; null when <c>FAIRLEAD_ADMIN_KEY</c> is set.</param>
internal sealed record FirstStartKeys(string? ClientKey, string? AdminKey)
{
    // A record prints its members; these must not appear in a log.
    public override string ToString() => nameof(FirstStartKeys);
}
