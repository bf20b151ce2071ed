namespace Fairlead.Access;

/// <summary>Dated versions of the API.</summary>
internal static class ApiVersions
{
    /// <summary>The newest dated version of the API.</summary>
    public const string Current = "2026-11-23";
}
