using System.Text.Json;
using System.Text.Json.Serialization;

namespace Fairlead.Storage;

/// <summary>Lists of strings in a column, as a JSON array.</summary>
internal static class StringList
{
    public static string Write(string[] values) => JsonSerializer.Serialize(values, StringListJsonContext.Default.StringArray);

    public static string[] Read(string json) => JsonSerializer.Deserialize(json, StringListJsonContext.Default.StringArray) ?? [];
}

[JsonSerializable(typeof(string[]))]
internal sealed partial class StringListJsonContext : JsonSerializerContext;
