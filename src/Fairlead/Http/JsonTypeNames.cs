using System.Text.Json;

namespace Fairlead.Http;

/// <summary>Kinds of JSON values as messages name them.</summary>
internal static class Words
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
