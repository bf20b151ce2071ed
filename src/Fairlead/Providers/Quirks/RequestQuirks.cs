namespace Fairlead.Providers.Quirks;

/// <summary>What servers refuse or misunderstand in requests, and how requests are adapted to them.</summary>
internal static class RequestQuirks
{
    public static readonly IReadOnlyList<Quirk> All =
    [
    ];
}
