using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Fairlead.Providers.Simulated;

/// <summary>
/// What a simulated answer is to suffer, as the <c>Fairlead-Simulate</c> header and <c>simulation.faults</c> say it:
/// <c>ttft=200ms; tps=50; status=429; retry_after=2; reset; hang; cut_after=40; stall_after=20; malformed_at=10; no_done; fail_first=1; invalid_output=1</c>.
/// </summary>
internal sealed record SimulationDirectives
{
    public static readonly SimulationDirectives None = new();

    private const string Known = "ttft, tps, status, retry_after, reset, hang, cut_after, stall_after, malformed_at, no_done, fail_first, invalid_output";

    /// <summary>Time to the first token, exactly.</summary>
    public TimeSpan? FirstToken { get; init; }

    /// <summary>Tokens a second, exactly.</summary>
    public double? TokensPerSecond { get; init; }

    /// <summary>HTTP status answered instead, 400 to 599.</summary>
    public int? Status { get; init; }

    /// <summary>The wait that goes with <see cref="Status"/>.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>The connection breaks before an answer.</summary>
    public bool Reset { get; init; }

    /// <summary>No answer ever comes.</summary>
    public bool Hang { get; init; }

    /// <summary>The connection breaks after this many tokens.</summary>
    public int? CutAfter { get; init; }

    /// <summary>Nothing comes after this many tokens, and the connection stays open.</summary>
    public int? StallAfter { get; init; }

    /// <summary>The event of this token, from 1, cannot be read.</summary>
    public int? MalformedAt { get; init; }

    /// <summary>The stream ends right after the finish reason, without usage.</summary>
    public bool NoDone { get; init; }

    /// <summary>Only this many first attempts of a generation suffer; with nothing else said, status 503.</summary>
    public int? FailFirst { get; init; }

    /// <summary>This many first attempts of a generation write a JSON document that does not satisfy the schema asked for.</summary>
    public int? InvalidOutput { get; init; }

    /// <summary>What holds for one attempt, numbered from 1.</summary>
    public SimulationDirectives ForAttempt(int number)
    {
        if (FailFirst is not { } first) return this;
        if (number > first) return None with { FirstToken = FirstToken, TokensPerSecond = TokensPerSecond, InvalidOutput = InvalidOutput };
        return Status is null && !Reset && !Hang && CutAfter is null && StallAfter is null ? this with { Status = 503 } : this;
    }

    /// <summary>These laid over <paramref name="ground"/>: what is said here wins.</summary>
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

    /// <summary>Reads directives strictly: every one is known, said once and has a value of its form.</summary>
    /// <param name="text">The header's value; null or empty for none.</param>
    /// <param name="directives">The result.</param>
    /// <param name="fault">One sentence that names the directive at fault.</param>
    public static bool TryParse(string? text, [NotNullWhen(true)] out SimulationDirectives? directives, [NotNullWhen(false)] out string? fault)
    {
        directives = null;
        fault = null;
        var result = None;
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var item in (text ?? "").Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            var equals = item.IndexOf('=', StringComparison.Ordinal);
            var name = (equals < 0 ? item : item[..equals]).TrimEnd();
            var value = equals < 0 ? null : item[(equals + 1)..].TrimStart();
            if (!seen.Add(name))
            {
                fault = $"The directive '{Shown(name)}' is said twice.";
                return false;
            }
            (result, fault) = Apply(result, name, value);
            if (fault is not null) return false;
        }
        directives = result;
        return true;
    }

    private static (SimulationDirectives Result, string? Fault) Apply(SimulationDirectives d, string name, string? value) => name switch
    {
        "ttft" => TryDuration(value, out var span) ? (d with { FirstToken = span }, null) : (d, "The directive 'ttft' takes a duration of at most an hour, such as 200ms or 2s."),
        "tps" => TryNumber(value, 0.01, 100_000, out var tps) ? (d with { TokensPerSecond = tps }, null) : (d, "The directive 'tps' takes tokens per second, 0.01 to 100000."),
        "status" => TryCount(value, 400, 599, out var status) ? (d with { Status = status }, null) : (d, "The directive 'status' takes an HTTP status from 400 to 599."),
        "retry_after" => TryNumber(value, 0, 86_400, out var wait) ? (d with { RetryAfter = TimeSpan.FromSeconds(wait) }, null) : (d, "The directive 'retry_after' takes seconds, 0 to 86400."),
        "cut_after" => TryCount(value, 0, 1_000_000, out var cut) ? (d with { CutAfter = cut }, null) : (d, Tokens(name, 0)),
        "stall_after" => TryCount(value, 0, 1_000_000, out var stall) ? (d with { StallAfter = stall }, null) : (d, Tokens(name, 0)),
        "malformed_at" => TryCount(value, 1, 1_000_000, out var malformed) ? (d with { MalformedAt = malformed }, null) : (d, Tokens(name, 1)),
        "fail_first" => TryCount(value, 1, 100, out var first) ? (d with { FailFirst = first }, null) : (d, "The directive 'fail_first' takes a number of attempts, 1 to 100."),
        "invalid_output" => TryCount(value, 1, 100, out var invalid) ? (d with { InvalidOutput = invalid }, null) : (d, "The directive 'invalid_output' takes a number of attempts, 1 to 100."),
        "reset" => value is null ? (d with { Reset = true }, null) : (d, Bare(name)),
        "hang" => value is null ? (d with { Hang = true }, null) : (d, Bare(name)),
        "no_done" => value is null ? (d with { NoDone = true }, null) : (d, Bare(name)),
        _ => (d, $"There is no directive '{Shown(name)}'; there are {Known}."),
    };

    private static string Tokens(string name, int least) => $"The directive '{name}' takes a number of tokens, {least} to 1000000.";

    private static string Bare(string name) => $"The directive '{name}' takes no value.";

    private static string Shown(string name) => name.Length > 32 ? name[..32] + "…" : name;

    private static bool TryCount(string? value, int least, int most, out int count) =>
        int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out count) && count >= least && count <= most;

    private static bool TryNumber(string? value, double least, double most, out double number) =>
        double.TryParse(value, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out number) && number >= least && number <= most;

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
