using System.Globalization;

namespace Fairlead.Caching;

/// <summary>
/// What the Cache-Control header of a request says (RFC 9111, section 5.2.1). Directives that do not concern this cache are ignored.
/// </summary>
internal readonly record struct CacheDirectives
{
    /// <summary>The call neither gets a kept response nor adds one.</summary>
    public bool NoStore { get; private init; }

    /// <summary>The call gets no kept response; its own replaces it.</summary>
    public bool NoCache { get; private init; }

    /// <summary>The call is not sent to a provider.</summary>
    public bool OnlyIfCached { get; private init; }

    /// <summary>Greatest age of a kept response; null for any.</summary>
    public TimeSpan? MaxAge { get; private init; }

    /// <param name="header">The value of the header; null if there is none.</param>
    public static CacheDirectives Parse(string? header)
    {
        var directives = new CacheDirectives();
        if (header is null) return directives;
        var text = header.AsSpan();
        foreach (var range in text.Split(','))
        {
            var directive = text[range].Trim();
            var equals = directive.IndexOf('=');
            var name = (equals < 0 ? directive : directive[..equals]).TrimEnd();
            if (name.Equals("no-store", StringComparison.OrdinalIgnoreCase)) directives = directives with { NoStore = true };
            else if (name.Equals("no-cache", StringComparison.OrdinalIgnoreCase)) directives = directives with { NoCache = true };
            else if (name.Equals("only-if-cached", StringComparison.OrdinalIgnoreCase)) directives = directives with { OnlyIfCached = true };
            else if (name.Equals("max-age", StringComparison.OrdinalIgnoreCase))
            {
                var age = AgeOf(equals < 0 ? default : directive[(equals + 1)..]);
                // Of two, the stricter one counts.
                if (directives.MaxAge is not { } known || age < known) directives = directives with { MaxAge = age };
            }
        }
        return directives;
    }

    // A value that is not a number of seconds accepts nothing; a number that is too large accepts everything.
    private static TimeSpan AgeOf(ReadOnlySpan<char> value)
    {
        value = value.Trim().Trim('"');
        if (value.IsEmpty || value.ContainsAnyExceptInRange('0', '9')) return TimeSpan.Zero;
        return long.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds) && seconds < int.MaxValue
            ? TimeSpan.FromSeconds(seconds)
            : TimeSpan.MaxValue;
    }
}
