using System.Globalization;
using Fairlead.Errors;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Http;

/// <summary>Reads the parameters of a query string and collects every error; unknown and repeated parameters are errors too.</summary>
internal sealed class QueryReader
{
    private const int MaxTextLength = 256;

    private static readonly string[] TimeFormats = ["yyyy-MM-dd", "yyyy-MM-ddTHH:mmK", "yyyy-MM-ddTHH:mm:ssK",
        "yyyy-MM-ddTHH:mm:ss.FFFFFFFK"];

    private readonly IQueryCollection _query;
    private readonly List<FieldError> _errors = [];

    public QueryReader(IQueryCollection query, params ReadOnlySpan<string> known) : this(query, known, null)
    {
    }

    /// <param name="query">The parameters.</param>
    /// <param name="known">Names of known ones.</param>
    /// <param name="prefix">Start of the names of further ones, whose rest the client chooses; null for none.</param>
    public QueryReader(IQueryCollection query, ReadOnlySpan<string> known, string? prefix)
    {
        _query = query;
        foreach (var (name, values) in query)
        {
            if (prefix is not null && name.StartsWith(prefix, StringComparison.Ordinal))
            {
                if (values.Count > 1) AddError(name, "The parameter occurs more than once.");
            }
            else if (known.IsEmpty) AddError(name, "Unknown parameter. This address has none.");
            else if (!known.Contains(name)) AddError(name, $"Unknown parameter. Known parameters: {string.Join(", ", known.ToArray())}{(prefix is null ? "" : $", {prefix}<key>")}.");
            else if (values.Count > 1) AddError(name, "The parameter occurs more than once.");
        }
    }

    /// <summary>All errors so far as one, or null.</summary>
    public GatewayError? Error => _errors.Count == 0 ? null
        : new GatewayError(ErrorCode.InvalidParameter, string.Join(" ", _errors.Select(error => $"{error.Pointer[1..]}: {error.Detail}")))
    {
        Parameter = _errors[0].Pointer[1..],
        Faults = _errors,
    };

    public void AddError(string name, string detail)
    {
        // The client chose the name, so its length in the error is limited.
        if (name.Length > 64) name = name[..64];
        if (_errors.Count < 32) _errors.Add(new FieldError("/" + name, detail));
    }

    /// <param name="maxLength">Maximum characters.</param>
    public string? Text(string name, int maxLength = MaxTextLength)
    {
        if (!_query.TryGetValue(name, out var values) || values.Count != 1) return null;
        var value = values[0] ?? "";
        // No id, name or time contains control characters, and PostgreSQL rejects any text with NUL.
        if (value.Length >= 1 && value.Length <= maxLength && !value.Any(char.IsControl)) return value;
        AddError(name, $"Must have 1 to {maxLength} characters and no control characters.");
        return null;
    }

    public string? OneOf(string name, IReadOnlyList<string> choices)
    {
        if (Text(name) is not { } value) return null;
        if (choices.Contains(value)) return value;
        AddError(name, $"Must be one of {string.Join(", ", choices)}.");
        return null;
    }

    public int Integer(string name, int min, int max, int defaultValue)
    {
        if (Text(name) is not { } value) return defaultValue;
        if (int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= min && number <= max)
            return number;
        AddError(name, $"Must be a whole number from {min} to {max}.");
        return defaultValue;
    }

    /// <summary>An amount of US dollars from 0 to <paramref name="max"/>.</summary>
    public decimal? Amount(string name, decimal max)
    {
        if (Text(name) is not { } value) return null;
        if (value.Length <= 24 && decimal.TryParse(value, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var amount)
            && amount <= max && amount.Scale <= 12)
        {
            return amount;
        }
        AddError(name, string.Create(CultureInfo.InvariantCulture,
            $"Must be an amount of US dollars from 0 to {max} with at most 12 decimals, such as 0.25."));
        return null;
    }

    /// <summary>All parameters whose names start with <paramref name="prefix"/>, without it.</summary>
    /// <param name="prefix">Start of their names.</param>
    /// <param name="maxCount">Maximum number of them.</param>
    /// <param name="maxName">Maximum characters of the rest of a name.</param>
    /// <param name="maxLength">Maximum characters of a value.</param>
    public List<KeyValuePair<string, string>> Prefixed(string prefix, int maxCount, int maxName, int maxLength)
    {
        var found = new List<KeyValuePair<string, string>>();
        foreach (var (name, values) in _query)
        {
            if (!name.StartsWith(prefix, StringComparison.Ordinal) || values.Count != 1) continue;
            var key = name[prefix.Length..];
            if (key.Length == 0 || key.Length > maxName || key.Any(char.IsControl))
                AddError(name, $"Needs a key of 1 to {maxName} characters and no control characters after '{prefix}'.");
            else if (found.Count == maxCount) AddError(name, $"At most {maxCount} parameters may start with '{prefix}'.");
            else if (Text(name, maxLength) is { } value) found.Add(new KeyValuePair<string, string>(key, value));
        }
        return found;
    }

    /// <summary>An RFC 3339 time, or a date, which means its midnight in UTC.</summary>
    public DateTimeOffset? Time(string name)
    {
        if (Text(name) is not { } value) return null;
        // A plus sign that is not percent-encoded arrives as a space.
        if (DateTimeOffset.TryParseExact(value.Replace(' ', '+'), TimeFormats, CultureInfo.InvariantCulture,
            DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var time) && time.Year is >= 1970 and <= 9000)
        {
            return time;
        }

        AddError(name, "Must be a time such as 2026-11-23T08:00:00Z or a date such as 2026-11-23.");
        return null;
    }
}
