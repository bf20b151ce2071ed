using System.Text.Json;

namespace Fairlead.Http;

/// <summary>Names of the JSON types, as error messages use them.</summary>
internal static class JsonTypeNames
{
    public static string Of(JsonValueKind kind) => kind switch
    {
        JsonValueKind.String => "string",
        JsonValueKind.Number => "number",
        JsonValueKind.True or JsonValueKind.False => "boolean",
        JsonValueKind.Null => "null",
        JsonValueKind.Array => "array",
        JsonValueKind.Object => "object",
        _ => "value",
    };
}
