namespace Fairlead.Providers;

/// <summary>Which headers may be sent to a provider with every request. Pure.</summary>
internal static class HeaderRules
{
    /// <summary>What is wrong with a header, or null. The value stays out of the message: it may be a credential.</summary>
    public static string? Error(string name, string value)
    {
        using var probe = new HttpRequestMessage();
        try
        {
            // The handler's own rules, so that what passes here is sent later.
            if (!probe.Headers.TryAddWithoutValidation(name, value)) return $"'{name}' is not the name of a request header that can be set.";
        }
        catch (FormatException)
        {
            return $"'{name}' is not the name of a request header that can be set.";
        }
        return value.Any(c => c is not '\t' and (< ' ' or > '~'))
            ? "The value holds characters that a header cannot carry (only printable ASCII can)."
            : null;
    }
}
