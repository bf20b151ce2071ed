namespace Fairlead.Catalogue;

/// <summary>Rules for the path of a probe, which stays at the provider's address.</summary>
internal static class ProbeConfigRules
{
    /// <param name="at">Key of the deployment in the configuration.</param>
    /// <param name="deployment">The deployment.</param>
    /// <param name="hasAddress">Whether its provider is reached at an address.</param>
    public static IEnumerable<CatalogueError> Check(string at, DeploymentConfig deployment, bool hasAddress)
    {
        if (deployment.Probe is not { Path: { } path }) yield break;
        if (!hasAddress)
        {
            yield return new($"{at}.probe.path", path, "Its provider has no address; remove the path, so that a tiny call probes it.");
        }
        else if (!path.StartsWith('/') || path.StartsWith("//", StringComparison.Ordinal) || path.Any(c => c <= ' ' || c is '\\' or '#'))
        {
            yield return new($"{at}.probe.path", path, "Start it with one slash, such as /health; it is a path at the provider's address.");
        }
    }
}
