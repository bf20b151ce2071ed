using System.Text.Json;
using System.Text.Json.Nodes;

namespace Fairlead.Configuration;

/// <summary>JSON Schema of the configuration file, for editors; generated from the reader's own table.</summary>
internal static class ConfigurationSchema
{
    private static readonly JsonSerializerOptions Indented = new()
    {
        WriteIndented = true,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    public static JsonObject Build(ConfigKeys keys)
    {
        var schema = keys.Root.Schema();
        schema.Insert(0, "$schema", "https://json-schema.org/draft/2020-12/schema");
        schema.Insert(1, "title", "Fairlead configuration");
        schema["type"] = "object";
        return schema;
    }

    public static string Text(ConfigKeys keys) => Build(keys).ToJsonString(Indented) + "\n";
}
