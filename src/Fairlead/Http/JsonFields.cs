using System.Globalization;
using System.Text.Json;

namespace Fairlead.Http;

/// <summary>Writes the fields that many resources have. A missing value is written as null.</summary>
internal static class JsonFields
{
    /// <summary>RFC 3339 in UTC, to the millisecond.</summary>
    public static void WriteTime(this Utf8JsonWriter json, string name, DateTimeOffset? time)
    {
        if (time is { } value) json.WriteString(name, value.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture));
        else json.WriteNull(name);
    }

    public static void WriteOptionalNumber(this Utf8JsonWriter json, string name, int? number)
    {
        if (number is { } value) json.WriteNumber(name, value);
        else json.WriteNull(name);
    }

    public static void WriteTexts(this Utf8JsonWriter json, string name, IReadOnlyList<string>? texts)
    {
        if (texts is null)
        {
            json.WriteNull(name);
            return;
        }
        json.WriteStartArray(name);
        foreach (var text in texts) json.WriteStringValue(text);
        json.WriteEndArray();
    }
}
