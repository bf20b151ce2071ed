namespace Fairlead.Access.Tokens;

/// <summary>Addresses from which signing keys are read.</summary>
internal static class IssuerAddress
{
    /// <summary>Why no keys can be read there, or null. Whoever can change a response in between could sign tokens.</summary>
    public static string? ErrorOf(string address) =>
        !Uri.TryCreate(address, UriKind.Absolute, out var url) || url.Scheme is not ("https" or "http") || url.Host.Length == 0
            ? "Not an address."
        : url.UserInfo.Length > 0 ? "The address has a user name or password."
        : url.Scheme == "https" || url.IsLoopback ? null : "Keys over plain http could be replaced on their way.";

    /// <summary>
    /// Why keys cannot be read at an address that a document names, or null. A document must not lead to this machine, unless the operator
    /// configured an issuer on this machine.
    /// </summary>
    /// <param name="address">The address in the document.</param>
    /// <param name="source">Where the document is from.</param>
    public static string? ErrorOf(string address, Uri source) => ErrorOf(address) is { } error ? error
        : new Uri(address).IsLoopback && !source.IsLoopback ? "The document leads to this machine." : null;

    /// <summary>Whether an address is on the host that the operator configured, or on this machine as that host is.</summary>
    public static bool IsConfigured(Uri address, Uri source) =>
        string.Equals(address.IdnHost, source.IdnHost, StringComparison.OrdinalIgnoreCase) || (address.IsLoopback && source.IsLoopback);
}
