using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Fairlead.Providers.Simulated;

/// <summary>
/// The errors of a simulated response, as in the <c>Fairlead-Simulate</c> header and <c>simulation.faults</c>: <c>ttft=200ms; tps=50;
/// status=429; retry_after=2; reset; hang; cut_after=40; stall_after=20; malformed_at=10; no_done; fail_first=1; invalid_output=1</c>.
/// </summary>
internal sealed record SimulationDirectives
{
    public static readonly SimulationDirectives None = new();

    private const string Known =
        "ttft, tps, status, retry_after, reset, hang, cut_after, stall_after, malformed_at, no_done, fail_first, invalid_output";

    /// <summary>Exact time to the first token.</summary>
    public TimeSpan? FirstToken { get; init; }

    /// <summary>Exact number of tokens per second.</summary>
    public double? TokensPerSecond { get; init; }

    /// <summary>HTTP status of the response, 400 to 599.</summary>
    public int? Status { get; init; }

    /// <summary>The <c>Retry-After</c> of <see cref="Status"/>.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>The connection is reset before a response.</summary>
    public bool Reset { get; init; }

    /// <summary>No response is ever sent.</summary>
    public bool Hang { get; init; }

    /// <summary>The connection is reset after this many tokens.</summary>
    public int? CutAfter { get; init; }

    /// <summary>Nothing is sent after this many tokens, and the connection stays open.</summary>
    public int? StallAfter { get; init; }

    /// <summary>The event of this token, from 1, is malformed.</summary>
    public int? MalformedAt { get; init; }

    /// <summary>The stream ends right after the finish reason, without usage.</summary>
    public bool NoDone { get; init; }

    /// <summary>Only this many first attempts of a generation fail; without another directive, with status 503.</summary>
    public int? FailFirst { get; init; }

    /// <summary>This many first attempts of a generation write a JSON document that violates the requested schema.</summary>
    public int? InvalidOutput { get; init; }

    /// <summary>The directives for one attempt, numbered from 1.</summary>
    public SimulationDirectives ForAttempt(int number)
    {
        if (FailFirst is not { } first) return this;
        if (number > first) return None with { FirstToken = FirstToken, TokensPerSecond = TokensPerSecond, InvalidOutput = InvalidOutput };
        return Status is null && !Reset && !Hang && CutAfter is null && StallAfter is null ? this with { Status = 503 } : this;
    }

    /// <summary>These directives, completed by <paramref name="ground"/>; these take precedence.</summary>
    public SimulationDirectives Over(SimulationDirectives ground) => new()
    {
        FirstToken = FirstToken ?? ground.FirstToken,
        TokensPerSecond = TokensPerSecond ?? ground.TokensPerSecond,
        Status = Status ?? ground.Status,
        RetryAfter = RetryAfter ?? ground.RetryAfter,
        Reset = Reset || ground.Reset,
        Hang = Hang || ground.Hang,
        CutAfter = CutAfter ?? ground.CutAfter,
        StallAfter = StallAfter ?? ground.StallAfter,
        MalformedAt = MalformedAt ?? ground.MalformedAt,
        NoDone = NoDone || ground.NoDone,
        FailFirst = FailFirst ?? ground.FailFirst,
        InvalidOutput = InvalidOutput ?? ground.InvalidOutput,
    };

    /// <summary>Parses directives strictly: every one is known, occurs once and has a valid value.</summary>
    /// <param name="text">The header's value; null or empty for none.</param>
    /// <param name="directives">The result.</param>
    /// <param name="error">One sentence that names the invalid directive.</param>
    public static bool TryParse(string? text, [NotNullWhen(true)] out SimulationDirectives? directives,
        [NotNullWhen(false)] out string? error)
    {
        directives = null;
        error = null;
        var result = None;
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var item in (text ?? "").Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            var equals = item.IndexOf('=', StringComparison.Ordinal);
            var name = (equals < 0 ? item : item[..equals]).TrimEnd();
            var value = equals < 0 ? null : item[(equals + 1)..].TrimStart();
            if (!seen.Add(name))
            {
                error = $"The directive '{Shown(name)}' occurs twice.";
                return false;
            }
            (result, error) = Apply(result, name, value);
            if (error is not null) return false;
        }
        directives = result;
        return true;
    }

    private static (SimulationDirectives Result, string? Fault) Apply(SimulationDirectives d, string name, string? value) => name switch
    {
        "ttft" =>
            TryDuration(value, out var span)
                ? (d with { FirstToken = span }, null)
                : (d, "The directive 'ttft' takes a duration of at most an hour, such as 200ms or 2s."),
        "tps" => TryNumber(value, 0.01, 100_000, out var tps)
            ? (d with { TokensPerSecond = tps }, null)
            : (d, "The directive 'tps' takes tokens per second, 0.01 to 100000."),
        "status" =>
            TryCount(value, 400, 599, out var status)
                ? (d with { Status = status }, null)
                : (d, "The directive 'status' takes an HTTP status from 400 to 599."),
        "retry_after" =>
            TryNumber(value, 0, 86_400, out var wait)
                ? (d with { RetryAfter = TimeSpan.FromSeconds(wait) }, null)
                : (d, "The directive 'retry_after' takes seconds, 0 to 86400."),
        "cut_after" => TryCount(value, 0, 1_000_000, out var cut) ? (d with { CutAfter = cut }, null) : (d, Tokens(name, 0)),
        "stall_after" => TryCount(value, 0, 1_000_000, out var stall) ? (d with { StallAfter = stall }, null) : (d, Tokens(name, 0)),
        "malformed_at" =>
            TryCount(value, 1, 1_000_000, out var malformed) ? (d with { MalformedAt = malformed }, null) : (d, Tokens(name, 1)),
        "fail_first" =>
            TryCount(value, 1, 100, out var first)
                ? (d with { FailFirst = first }, null)
                : (d, "The directive 'fail_first' takes a number of attempts, 1 to 100."),
        "invalid_output" =>
            TryCount(value, 1, 100, out var invalid)
                ? (d with { InvalidOutput = invalid }, null)
                : (d, "The directive 'invalid_output' takes a number of attempts, 1 to 100."),
        "reset" => value is null ? (d with { Reset = true }, null) : (d, Bare(name)),
        "hang" => value is null ? (d with { Hang = true }, null) : (d, Bare(name)),
        "no_done" => value is null ? (d with { NoDone = true }, null) : (d, Bare(name)),
        _ => (d, $"The directive '{Shown(name)}' is unknown; accepted are {Known}."),
    };

    private static string Tokens(string name, int min) => $"The directive '{name}' takes a number of tokens, {min} to 1000000.";

    private static string Bare(string name) => $"The directive '{name}' takes no value.";

    private static string Shown(string name) => name.Length > 32 ? name[..32] + "…" : name;

    private static bool TryCount(string? value, int min, int max, out int count) =>
        int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out count) && count >= min && count <= max;

    private static bool TryNumber(string? value, double min, double max, out double number) =>
        double.TryParse(value, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out number) && number >= min && number <= max;

    private static bool TryDuration(string? value, out TimeSpan span)
    {
        span = default;
        if (value is null) return false;
        var (digits, unit) = value.EndsWith("ms", StringComparison.Ordinal) ? (value[..^2], 1)
            : value.EndsWith('s') ? (value[..^1], 1000)
            : value.EndsWith('m') ? (value[..^1], 60_000)
            : ("", 0);
        if (!TryNumber(digits, 0, 3_600_000, out var number) || number * unit > 3_600_000) return false;
        span = TimeSpan.FromMilliseconds(number * unit);
        return true;
    }
}
