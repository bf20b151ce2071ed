using System.Buffers;
using System.Globalization;
using System.Net.Http.Headers;
using Fairlead.Scheduling.Quotas;

namespace Fairlead.Providers.Http;

/// <summary>
/// Reads a provider's own rate limits: <c>x-ratelimit-*</c> of OpenAI and servers like it, <c>anthropic-ratelimit-*</c>, and the time
/// after which a refused call may be repeated. One pass over the headers; values that are not numbers are ignored.
/// </summary>
internal static class RateLimitReader
{
    private const string OpenAi = "x-ratelimit-";
    private const string Anthropic = "anthropic-ratelimit-";

    // Larger numbers are no durations but Unix times, of seconds or milliseconds.
    private const double MinUnixSeconds = 1e9;
    private const double MinUnixMilliseconds = 1e12;

    private static readonly SearchValues<char> Digits = SearchValues.Create("0123456789.");

    public static ReportedLimits Read(HttpResponseMessage response, TimeProvider time)
    {
        var status = (int)response.StatusCode;
        // That of an overload (503, 529) is for the call. The breaker decides about further calls.
        var waits = status == 429 ? RetryAfterReader.Read(response.Headers, time) : null;
        Parts requests = default, tokens = default, input = default, output = default;
        var isFound = false;
        foreach (var (name, values) in response.Headers.NonValidated)
        {
            ReadOnlySpan<char> kind, member;
            if (name.StartsWith(OpenAi, StringComparison.OrdinalIgnoreCase))
            {
                // x-ratelimit-remaining-requests
                var rest = name.AsSpan(OpenAi.Length);
                var dash = rest.IndexOf('-');
                if (dash < 0) continue;
                member = rest[..dash];
                kind = rest[(dash + 1)..];
            }
            else if (name.StartsWith(Anthropic, StringComparison.OrdinalIgnoreCase))
            {
                // anthropic-ratelimit-input-tokens-remaining
                var rest = name.AsSpan(Anthropic.Length);
                var dash = rest.LastIndexOf('-');
                if (dash < 0) continue;
                kind = rest[..dash];
                member = rest[(dash + 1)..];
            }
            else
            {
                continue;
            }
            var value = values.ToString();
            if (Is(kind, "requests")) isFound |= requests.Set(member, value, time);
            else if (Is(kind, "tokens")) isFound |= tokens.Set(member, value, time);
            else if (Is(kind, "input-tokens")) isFound |= input.Set(member, value, time);
            else if (Is(kind, "output-tokens")) isFound |= output.Set(member, value, time);
        }
        if (!isFound) return waits is null ? default : new ReportedLimits { RetryAfter = waits };
        return new ReportedLimits
        {
            Requests = requests.ToLimit(),
            Tokens = tokens.ToLimit(),
            InputTokens = input.ToLimit(),
            OutputTokens = output.ToLimit(),
            RetryAfter = waits,
        };
    }

    /// <summary>
    /// The time until a reset: a duration such as <c>12ms</c>, <c>6m0s</c> or <c>1h2m3.5s</c>, a number of seconds, a Unix time, or a date.
    /// Null for anything else.
    /// </summary>
    internal static TimeSpan? ReadReset(string value, TimeProvider time)
    {
        value = value.Trim();
        if (double.TryParse(value, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number))
        {
            if (number >= MinUnixMilliseconds) return Seconds((number / 1000) - UnixNow(time));
            return Seconds(number >= MinUnixSeconds ? number - UnixNow(time) : number);
        }
        if (ReadDuration(value) is { } duration) return duration;
        return value.Length >= 10 && DateTimeOffset.TryParse(value, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var at)
            ? Seconds((at - time.GetUtcNow()).TotalSeconds) : null;
    }

    private static TimeSpan? ReadDuration(ReadOnlySpan<char> text)
    {
        var seconds = 0.0;
        while (!text.IsEmpty)
        {
            var digits = text.IndexOfAnyExcept(Digits);
            if (digits <= 0) return null;
            if (!double.TryParse(text[..digits], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number)) return null;
            text = text[digits..];
            var letters = text.IndexOfAny(Digits);
            var unit = letters < 0 ? text : text[..letters];
            seconds += number * unit switch
            {
                "d" => 86_400,
                "h" => 3600,
                "m" => 60,
                "s" => 1,
                "ms" => 1e-3,
                "us" or "µs" => 1e-6,
                _ => double.NaN,
            };
            text = text[unit.Length..];
        }
        return double.IsNaN(seconds) ? null : Seconds(seconds);
    }

    private static double UnixNow(TimeProvider time) => time.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0;

    private static TimeSpan Seconds(double seconds) =>
        seconds <= 0 ? TimeSpan.Zero : TimeSpan.FromSeconds(Math.Min(seconds, TimeSpan.FromDays(1).TotalSeconds));

    private static bool Is(ReadOnlySpan<char> name, string expected) => name.Equals(expected, StringComparison.OrdinalIgnoreCase);

    private struct Parts
    {
        private double? _limit;
        private double? _remaining;
        private TimeSpan? _reset;

        public bool Set(ReadOnlySpan<char> member, string value, TimeProvider time)
        {
            if (Is(member, "reset"))
            {
                _reset = ReadReset(value, time);
                return false;
            }
            if (!double.TryParse(value, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number)) return false;
            if (Is(member, "limit")) _limit = number;
            else if (Is(member, "remaining")) _remaining = number;
            return true;
        }

        // Some servers report a limit of 0 for none.
        public readonly ReportedLimit? ToLimit() =>
            _remaining is { } remaining && _limit != 0 ? new ReportedLimit(remaining, _limit, _reset) : null;
    }
}
