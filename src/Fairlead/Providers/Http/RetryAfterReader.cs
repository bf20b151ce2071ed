using System.Globalization;
using System.Net.Http.Headers;

namespace Fairlead.Providers.Http;

/// <summary>Reads when a provider suggests a retry: <c>retry-after-ms</c> first, then <c>Retry-After</c> in seconds or as a date.</summary>
internal static class RetryAfterReader
{
    /// <summary>A longer wait is not useful for a call.</summary>
    private static readonly TimeSpan Longest = TimeSpan.FromDays(1);

    public static TimeSpan? Read(HttpResponseHeaders headers, TimeProvider time)
    {
        if (First(headers, "retry-after-ms") is { } ms
            && double.TryParse(ms, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var milliseconds))
        {
            return Bound(milliseconds / 1000);
        }
        if (First(headers, "Retry-After") is not { } value) return null;
        if (double.TryParse(value, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var seconds)) return Bound(seconds);
        return DateTimeOffset.TryParse(value, CultureInfo.InvariantCulture,
            DateTimeStyles.AssumeUniversal | DateTimeStyles.AllowWhiteSpaces, out var at)
            ? Bound((at - time.GetUtcNow()).TotalSeconds)
            : null;
    }

    /// <summary>A duration in Google's format, such as <c>13s</c> or <c>1.5s</c>; null when it is not one.</summary>
    public static TimeSpan? ReadDuration(string? text) =>
        text is { Length: > 1 } && text[^1] == 's'
            && double.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture,
                out var seconds)
            ? Bound(seconds)
            : null;

    private static TimeSpan? Bound(double seconds) =>
        !double.IsFinite(seconds) ? null
        : seconds <= 0 ? TimeSpan.Zero
        : seconds >= Longest.TotalSeconds ? Longest
        : TimeSpan.FromMilliseconds(Math.Ceiling(seconds * 1000));

    private static string? First(HttpResponseHeaders headers, string name) =>
        headers.NonValidated.TryGetValues(name, out var values) && values.Count > 0 ? values.First().Trim() : null;
}
