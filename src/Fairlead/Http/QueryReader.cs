using System.Globalization;
using Fairlead.Errors;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Http;

/// <summary>Reads the parameters of a query string and collects every error; unknown and repeated parameters are errors too.</summary>
internal sealed class QueryReader
{
    private const int LongestText = 256;

    private static readonly string[] TimeFormats = ["yyyy-MM-dd", "yyyy-MM-ddTHH:mmK", "yyyy-MM-ddTHH:mm:ssK",
        "yyyy-MM-ddTHH:mm:ss.FFFFFFFK"];

    private readonly IQueryCollection _query;
    private readonly List<FieldFault> _faults = [];

    public QueryReader(IQueryCollection query, params ReadOnlySpan<string> known)
    {
        _query = query;
        foreach (var (name, values) in query)
        {
            if (!known.Contains(name)) Fault(name, $"Unknown parameter. Known parameters: {string.Join(", ", known.ToArray())}.");
            else if (values.Count > 1) Fault(name, "The parameter occurs more than once.");
        }
    }

    /// <summary>All errors so far as one, or null.</summary>
    public GatewayError? Error => _faults.Count == 0 ? null
        : new GatewayError(ErrorCode.InvalidParameter, string.Join(" ", _faults.Select(fault => $"{fault.Pointer[1..]}: {fault.Detail}")))
    {
        Parameter = _faults[0].Pointer[1..],
        Faults = _faults,
    };

    public void Fault(string name, string detail)
    {
        // The client chose the name, so its length in the error is limited.
        if (name.Length > 64) name = name[..64];
        if (_faults.Count < 32) _faults.Add(new FieldFault("/" + name, detail));
    }

    public string? Text(string name)
    {
        if (!_query.TryGetValue(name, out var values) || values.Count != 1) return null;
        var value = values[0] ?? "";
        // No id, name or time contains control characters, and PostgreSQL rejects any text with NUL.
        if (value.Length is >= 1 and <= LongestText && !value.Any(char.IsControl)) return value;
        Fault(name, $"Must have 1 to {LongestText} characters and no control characters.");
        return null;
    }

    public string? OneOf(string name, IReadOnlyList<string> words)
    {
        if (Text(name) is not { } value) return null;
        if (words.Contains(value)) return value;
        Fault(name, $"Must be one of {string.Join(", ", words)}.");
        return null;
    }

    public int Integer(string name, int least, int most, int otherwise)
    {
        if (Text(name) is not { } value) return otherwise;
        if (int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= least && number <= most)
            return number;
        Fault(name, $"Must be a whole number from {least} to {most}.");
        return otherwise;
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

        Fault(name, "Must be a time such as 2026-11-23T08:00:00Z or a date such as 2026-11-23.");
        return null;
    }
}
