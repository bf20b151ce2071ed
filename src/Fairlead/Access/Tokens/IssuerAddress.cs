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
}
