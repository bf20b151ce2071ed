using System.Globalization;
using System.Text.Json;
using Fairlead.Errors;

namespace Fairlead.Http;

/// <summary>The requested part of a list. Lists are ordered by id, which is the order of creation.</summary>
internal sealed class ListPage
{
    public const int DefaultLimit = 20;
    public const int MaxLimit = 100;

    private readonly Dictionary<string, string> _filters = [];

    private ListPage()
    {
    }

    public int Limit { get; private set; } = DefaultLimit;

    /// <summary>The id after which the page starts; empty for the first page.</summary>
    public string After { get; private set; } = "";

    /// <summary>The value of a filter, or null.</summary>
    public string? Filter(string name) => _filters.GetValueOrDefault(name);

    /// <summary>Sets a filter, whatever the request said.</summary>
    public void SetFilter(string name, string? value)
    {
        if (value is null) _filters.Remove(name);
        else _filters[name] = value;
    }

    /// <param name="request">The request whose query is read.</param>
    /// <param name="idPrefix">Prefix of the ids in the list, by which a cursor is recognised.</param>
    /// <param name="filters">Names of further parameters.</param>
    /// <exception cref="GatewayErrorException">A parameter is unknown or has an invalid value.</exception>
    public static ListPage Read(EndpointRequest request, string idPrefix, params ReadOnlySpan<string> filters)
    {
        var page = new ListPage();
        foreach (var (name, values) in request.Query)
        {
            if (values.Count != 1) throw Refused(name, "was given more than once.");
            var value = values[0] ?? "";
            if (name == "limit")
            {
                if (!int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var limit) || limit is < 1 or > MaxLimit)
                    throw Refused(name, $"must be a whole number from 1 to {MaxLimit}.");
                page.Limit = limit;
            }
            else if (name == "cursor")
            {
                if (value.Length != idPrefix.Length + 26 || !value.StartsWith(idPrefix, StringComparison.Ordinal)
                    || !value.All(c => char.IsAsciiLetterOrDigit(c) || c == '_'))
                {
                    throw Refused(name, "is not a next_cursor of this list.");
                }

                page.After = value;
            }
            else if (filters.Contains(name))
            {
                if (value.Length is 0 or > 64 || value.Any(char.IsControl)) throw Refused(name, "must be an id.");
                page._filters[name] = value;
            }
            else
            {
                var known = string.Join(", ", (string[])["limit", "cursor", .. filters]);
                throw new GatewayErrorException(GatewayError.Unsupported(Shortened(name),
                    $"The list does not accept the parameter '{Shortened(name)}'; it accepts {known}."));
            }
        }
        return page;
    }

    /// <summary>The page as a response. <paramref name="rows"/> has one row more than the page if there is a next page.</summary>
    public EndpointResult ToResult<TRow>(IReadOnlyList<TRow> rows, Func<TRow, string> idOf, Action<Utf8JsonWriter, TRow> write) =>
        EndpointResult.Json(json =>
        {
            var count = Math.Min(rows.Count, Limit);
            json.WriteStartObject();
            json.WriteStartArray("data");
            for (var i = 0; i < count; i++) write(json, rows[i]);
            json.WriteEndArray();
            json.WriteString("next_cursor", rows.Count > Limit ? idOf(rows[count - 1]) : null);
            json.WriteEndObject();
        });

    private static GatewayErrorException Refused(string name, string what) =>
        new(GatewayError.Invalid(Shortened(name), $"The parameter '{Shortened(name)}' {what}"));

    private static string Shortened(string name) => name.Length <= 64 ? name : name[..64];
}
