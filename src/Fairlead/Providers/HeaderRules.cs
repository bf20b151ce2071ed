namespace Fairlead.Providers;

/// <summary>Rules for the headers that the configuration adds to every provider request. Pure.</summary>
internal static class HeaderRules
{
    /// <summary>The error of a header, or null. The message omits the value, which may be a credential.</summary>
    public static string? Error(string name, string value)
    {
        using var probe = new HttpRequestMessage();
        try
        {
            // The HTTP handler's own rules, so that an accepted header can be sent.
            if (!probe.Headers.TryAddWithoutValidation(name, value)) return $"'{name}' is not a request header that can be set.";
        }
        catch (FormatException)
        {
            return $"'{name}' is not a request header that can be set.";
        }
        return value.Any(c => c is not '\t' and (< ' ' or > '~'))
            ? "The value contains characters that are not allowed in a header; use printable ASCII only."
            : null;
    }
}
