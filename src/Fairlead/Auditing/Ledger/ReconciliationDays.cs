using System.Text;
using Fairlead.Auditing.Records;
using Fairlead.Conversation;

namespace Fairlead.Auditing.Ledger;

/// <summary>Sums the attempts of a batch by day, provider, upstream model and cause of a difference. For one thread.</summary>
internal sealed class ReconciliationDays
{
    public const long MillisecondsPerDay = 86_400_000;

    /// <summary>The columns of the table, in the order of <see cref="ReconciliationDay.Values"/>.</summary>
    public const string SumColumns = "attempts, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, "
        + "cost_pico_usd, reported_input_tokens, reported_cached_input_tokens, reported_cache_write_tokens, reported_output_tokens, "
        + "reported_reasoning_tokens, reported_cost_pico_usd";

    private readonly Dictionary<(long Day, string Provider, string Model, string Cause), ReconciliationDay> _days = [];
    private ShippedAttempt? _last;
    private ReconciliationDay? _lastDay;

    public int Count => _days.Count;

    /// <summary>The sums in the order of the table's key, in which every node locks its rows.</summary>
    public IEnumerable<ReconciliationDay> InOrder => _days.Values.OrderBy(day => day.Day)
        .ThenBy(day => day.Provider, StringComparer.Ordinal).ThenBy(day => day.Model, StringComparer.Ordinal)
        .ThenBy(day => day.Cause, StringComparer.Ordinal);

    /// <param name="call">The call.</param>
    /// <param name="attempt">One of its attempts; one that used nothing is left out.</param>
    /// <param name="storable">Makes a text storable in the database.</param>
    public void Add(ShippedCall call, ShippedAttempt attempt, Func<string, string>? storable = null)
    {
        var cause = CauseOf(call, attempt);
        // Where the provider's count was charged, the record does not repeat it.
        var reported = cause.Length == 0
            ? new ReportedTokens(attempt.InputTokens, attempt.CachedInputTokens, attempt.CacheWriteTokens, attempt.OutputTokens,
                attempt.ReasoningTokens, attempt.CostPicoUsd)
            : attempt.Reported ?? default;
        if (attempt is { InputTokens: 0, OutputTokens: 0 } && reported is { Input: 0, Output: 0 }) return;
        DayOf(call, attempt, cause, storable).Add(attempt, reported);
    }

    private ReconciliationDay DayOf(ShippedCall call, ShippedAttempt attempt, string cause, Func<string, string>? storable)
    {
        var day = call.At - (((call.At % MillisecondsPerDay) + MillisecondsPerDay) % MillisecondsPerDay);
        // Neighbours mostly have the same deployment.
        if (_lastDay is { } same && same.Day == day && same.Cause == cause && _last!.Provider.Span.SequenceEqual(attempt.Provider.Span)
            && _last.UpstreamModel.Span.SequenceEqual(attempt.UpstreamModel.Span))
        {
            return same;
        }
        var (provider, model) = (Encoding.UTF8.GetString(attempt.Provider.Span), Encoding.UTF8.GetString(attempt.UpstreamModel.Span));
        if (storable is not null) (provider, model) = (storable(provider), storable(model));
        if (!_days.TryGetValue((day, provider, model, cause), out var sums))
            _days[(day, provider, model, cause)] = sums = new ReconciliationDay(day, provider, model, cause);
        (_last, _lastDay) = (attempt, sums);
        return sums;
    }

    private static string CauseOf(ShippedCall call, ShippedAttempt attempt)
    {
        if (attempt.Difference is { } stated)
        {
            return stated.Span.SequenceEqual("cut"u8) ? ChargeDifference.Cut
                : stated.Span.SequenceEqual("retried"u8) ? ChargeDifference.Retried : ChargeDifference.Estimated;
        }
        if (attempt.Basis.Span.SequenceEqual("measured"u8)) return "";
        // A record of an earlier version, which says only that it is an estimate.
        if (!ReferenceEquals(attempt, call.Attempts[^1])) return ChargeDifference.Retried;
        return attempt.Outcome is { } outcome && IsComplete(outcome.Span) ? ChargeDifference.Estimated : ChargeDifference.Cut;
    }

    private static bool IsComplete(ReadOnlySpan<byte> outcome) =>
        outcome.SequenceEqual("complete"u8) || outcome.SequenceEqual("length"u8) || outcome.SequenceEqual("tool_calls"u8)
        || outcome.SequenceEqual("content_filter"u8) || outcome.SequenceEqual("invalid_output"u8);
}

/// <summary>The sums of one day, provider, upstream model and cause.</summary>
/// <param name="day">Its midnight, in milliseconds since 1970.</param>
/// <param name="provider">Name of the provider.</param>
/// <param name="model">The model's name at the provider.</param>
/// <param name="cause">One of <see cref="ChargeDifference"/>; empty where the provider's count was charged.</param>
internal sealed class ReconciliationDay(long day, string provider, string model, string cause)
{
    public const int ValueCount = 13;

    public long Day => day;

    public string Provider => provider;

    public string Model => model;

    public string Cause => cause;

    /// <summary>In the order of <see cref="ReconciliationDays.SumColumns"/>.</summary>
    public long[] Values { get; } = new long[ValueCount];

    public void Add(ShippedAttempt attempt, in ReportedTokens reported)
    {
        Values[0]++;
        Add(1, attempt.InputTokens, attempt.CachedInputTokens, attempt.CacheWriteTokens, attempt.OutputTokens, attempt.ReasoningTokens,
            attempt.CostPicoUsd);
        Add(7, reported.Input, reported.CachedInput, reported.CacheWrite, reported.Output, reported.Reasoning, reported.CostPicoUsd);
    }

    private void Add(int at, long input, long cached, long written, long output, long reasoning, long cost)
    {
        Values[at] += input;
        Values[at + 1] += cached;
        Values[at + 2] += written;
        Values[at + 3] += output;
        Values[at + 4] += reasoning;
        Values[at + 5] = Money.Add(Values[at + 5], cost);
    }
}
