using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Configuration;

namespace Fairlead.Server.Documentation;

/// <summary>
/// The OpenAPI document, put together from the hand-written pieces under <c>openapi/</c> (YAML): <c>info.yaml</c> is the ground, every other
/// piece adds its paths, schemas, responses, parameters and tags. Made on first use. Thread-safe.
/// </summary>
internal sealed class OpenApiDocument
{
    private const string Prefix = "openapi/";

    private static readonly JsonSerializerOptions Compact = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly Lazy<string> _json = new(() => Build().ToJsonString(Compact));

    public string Json => _json.Value;

    /// <exception cref="InvalidOperationException">A piece is not valid YAML, or two pieces define the same thing.</exception>
    public static JsonObject Build()
    {
        var assembly = typeof(OpenApiDocument).Assembly;
        JsonObject? document = null;
        foreach (var name in assembly.GetManifestResourceNames().Where(n => n.StartsWith(Prefix, StringComparison.Ordinal)).OrderBy(n => n == Prefix + "info.yaml" ? "" : n, StringComparer.Ordinal))
        {
            using var reader = new StreamReader(assembly.GetManifestResourceStream(name)!);
            var piece = YamlToJson.Parse(name, reader.ReadToEnd());
            if (document is null) document = piece;
            else Merge(document, piece, name);
        }
        document!["info"]!["version"] = ProductVersion.Text;
        return document;
    }

    private static void Merge(JsonObject target, JsonObject piece, string name)
    {
        foreach (var (key, value) in piece)
        {
            var inside = target[key];
            if (inside is null) target[key] = value?.DeepClone();
            else if (inside is JsonObject left && value is JsonObject right) Merge(left, right, name);
            else if (inside is JsonArray list && value is JsonArray more) foreach (var item in more) list.Add(item?.DeepClone());
            else throw new InvalidOperationException($"{name} defines {key} a second time.");
        }
    }
}
