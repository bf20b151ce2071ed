using System.Text.Json;

namespace Fairlead.Http;

/// <summary>One page of a list in OpenAI's format.</summary>
internal static class OpenAiList
{
    /// <param name="rows">The page, and one more row if there is a next page.</param>
    /// <param name="limit">Rows per page.</param>
    /// <param name="idOf">The id of a row.</param>
    /// <param name="write">Writes a row.</param>
    public static EndpointResult Of<TRow>(
        IReadOnlyList<TRow> rows, int limit, Func<TRow, string> idOf, Action<Utf8JsonWriter, TRow> write) =>
        EndpointResult.Json(json =>
        {
            var count = Math.Min(rows.Count, limit);
            json.WriteStartObject();
            json.WriteString("object", "list");
            json.WriteStartArray("data");
            for (var i = 0; i < count; i++) write(json, rows[i]);
            json.WriteEndArray();
            json.WriteString("first_id", count > 0 ? idOf(rows[0]) : null);
            json.WriteString("last_id", count > 0 ? idOf(rows[count - 1]) : null);
            json.WriteBoolean("has_more", rows.Count > limit);
            json.WriteEndObject();
        });
}
