namespace Fairlead.Errors;

/// <summary>
/// The address by which the client reached this server, for links in responses: <c>publicUrl</c> of the configuration, else scheme and host
/// of the request. The empty value leaves links as paths. The text is built only when a link is needed.
/// </summary>
internal readonly record struct PublicAddress(string? Configured, string? Scheme, string? Host, string? PathBase)
{
    /// <summary>
    /// A reference to <paramref name="path"/>, which starts with a slash, for the header <c>Location</c>. It works for the client behind a
    /// proxy too, and under a path that the program chose.
    /// </summary>
    public string Reference(string path) => (Configured ?? PathBase) + path;

    /// <summary>
    /// The full URL of <paramref name="path"/>, which starts with a slash; the path itself if the server's address is unknown.
    /// </summary>
    public string Link(string path)
    {
        if (Configured is not null) return Configured + path;
        // An HTTP/1.0 request may omit the host.
        return string.IsNullOrEmpty(Host) ? PathBase + path : $"{Scheme}://{Host}{PathBase}{path}";
    }
}
