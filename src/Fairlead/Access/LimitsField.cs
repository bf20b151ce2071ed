using System.Text.Json;
using Fairlead.Http;

namespace Fairlead.Access;

/// <summary>The field <c>limits</c> of organizations, projects and keys. Their rows have it in its stored form.</summary>
internal static class LimitsField
{
    public const string Name = "limits";

    /// <summary>Reads a merge patch, and adds its errors to <paramref name="body"/>.</summary>
    /// <returns>Changes the stored form; valid as long as the body is.</returns>
    public static Func<string?, string?> Read(BodyFields body)
    {
        if (body.Element(Name) is not { } patch) return static stored => stored;
        LimitSetJson.Merge(LimitSet.None, patch, "/" + Name, body.Add);
        // Its errors were reported. RFC 7396: what cannot be merged into is replaced, and so limits that are not readable can be repaired.
        return stored =>
            LimitSetJson.Text(LimitSetJson.Merge(LimitSetJson.ParseOrNull(stored) ?? LimitSet.None, patch, "", static (_, _) => { }));
    }

    /// <summary>Writes the limits that are set; null when the stored form was edited by hand and is not readable.</summary>
    public static void Write(Utf8JsonWriter json, string? stored)
    {
        json.WritePropertyName(Name);
        if (LimitSetJson.ParseOrNull(stored) is { } limits) LimitSetJson.Write(json, limits);
        else json.WriteNullValue();
    }
}
