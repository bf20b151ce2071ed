using System.Globalization;
using Microsoft.Extensions.Primitives;

namespace Fairlead.Pipeline;

/// <summary>
/// The <c>Prefer</c> header (RFC 7240), as far as it concerns delivery. As the RFC requires, unknown preferences are ignored, and the first
/// of duplicates counts.
/// </summary>
/// <param name="RespondAsync">Whether the client prefers 202 to waiting.</param>
/// <param name="Wait">Seconds that the client waits before that; null if not stated.</param>
internal readonly record struct Preference(bool RespondAsync, int? Wait)
{
    /// <summary>Longer than any proxy lets a request wait. A longer wait is shortened to this.</summary>
    public const int MaxWaitSeconds = 600;

    public static Preference Of(StringValues headers)
    {
        var respondAsync = false;
        int? wait = null;
        foreach (var header in headers)
        {
            foreach (var range in Split(header))
            {
                var parts = range.Split(';', 2)[0].Split('=', 2);
                var name = parts[0].Trim();
                var value = parts.Length > 1 ? parts[1].Trim().Trim('"') : "";
                if (name.Equals("respond-async", StringComparison.OrdinalIgnoreCase)) respondAsync = true;
                else if (wait is null && name.Equals("wait", StringComparison.OrdinalIgnoreCase)) wait = Seconds(value);
            }
        }
        return new Preference(respondAsync, wait);
    }

    private static int? Seconds(string value)
    {
        if (value.Length == 0 || value.AsSpan().ContainsAnyExceptInRange('0', '9')) return null;
        return int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds)
            ? Math.Min(seconds, MaxWaitSeconds)
            : MaxWaitSeconds;
    }

    // A comma within quotes does not separate.
    private static List<string> Split(string? header)
    {
        var parts = new List<string>();
        if (string.IsNullOrEmpty(header)) return parts;
        var quoted = false;
        var start = 0;
        for (var i = 0; i < header.Length; i++)
        {
            if (header[i] == '"') quoted = !quoted;
            if (header[i] != ',' || quoted) continue;
            parts.Add(header[start..i]);
            start = i + 1;
        }
        parts.Add(header[start..]);
        return parts;
    }
}
