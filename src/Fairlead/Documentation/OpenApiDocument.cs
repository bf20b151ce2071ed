using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Fairlead.Documentation;

/// <summary>
/// The OpenAPI documents, combined from the hand-written parts under <c>openapi/</c> (YAML): <c>info.yaml</c> is the base, every other part
/// adds its paths, schemas, responses, parameters and tags. <c>v1</c> is the API of OpenAI and Anthropic clients, <c>v2</c> is Fairlead's
/// own API. Built on first use. Thread-safe.
/// </summary>
internal sealed class OpenApiDocument
{
    private const string Prefix = "openapi/";
    private const string Examples = Prefix + "examples/";

    /// <summary>Names of the documents.</summary>
    public static readonly IReadOnlyList<string> Names = ["v1", "v2"];

    private static readonly JsonSerializerOptions Compact = new()
    {
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    // Without the build's suffix.
    private static readonly string Version = typeof(OpenApiDocument)
        .Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "0.0.0";

    private readonly Dictionary<string, Lazy<string>> _json = Names.ToDictionary(name => name, name =>
        new Lazy<string>(() => Build(name).ToJsonString(Compact)), StringComparer.Ordinal);

    /// <summary>
    /// The document of this name for a reader who reached the server at <paramref name="address"/>: its examples can be pasted as they are.
    /// </summary>
    public string JsonOf(string name, string address) =>
        _json[name].Value.Replace(DocumentationPages.ExampleAddress, JsonEncodedText.Encode(address).ToString(), StringComparison.Ordinal);

    /// <summary>One of the documents: its paths, and everything else that they refer to.</summary>
    public static JsonObject Build(string name)
    {
        var document = Build();
        var info = document["info"]!;
        info["title"] = name == "v1" ? "Fairlead: OpenAI and Anthropic API (v1)" : "Fairlead API (v2)";
        var paths = document["paths"]!.AsObject();
        foreach (var path in paths.Select(one => one.Key).ToArray())
        {
            if (path.StartsWith("/v1/", StringComparison.Ordinal) != (name == "v1")) paths.Remove(path);
        }
        // Webhook events belong to Fairlead's own API.
        if (name == "v1") document.Remove("webhooks");
        var tags = paths.SelectMany(path => path.Value!.AsObject())
            .SelectMany(operation => operation.Value!["tags"]!.AsArray().Select(tag => tag!.GetValue<string>()))
            .ToHashSet(StringComparer.Ordinal);
        document["tags"] = new JsonArray([.. document["tags"]!.AsArray().Where(tag => tags.Contains(tag!["name"]!.GetValue<string>()))
            .Select(tag => tag!.DeepClone())]);
        Prune(document);
        return document;
    }

    /// <summary>All parts in one document.</summary>
    /// <exception cref="InvalidOperationException">A part is not valid YAML, or two parts define the same thing.</exception>
    public static JsonObject Build()
    {
        var assembly = typeof(OpenApiDocument).Assembly;
        JsonObject? document = null;
        foreach (var name in assembly.GetManifestResourceNames()
            .Where(n => n.StartsWith(Prefix, StringComparison.Ordinal) && !n.StartsWith(Examples, StringComparison.Ordinal))
            .OrderBy(n => n == Prefix + "info.yaml" ? "" : n, StringComparer.Ordinal))
        {
            using var reader = new StreamReader(assembly.GetManifestResourceStream(name)!);
            var piece = YamlToJson.Parse(name, reader.ReadToEnd());
            if (document is null) document = piece;
            else Merge(document, piece, name);
        }
        document!["info"]!["version"] = Version;
        foreach (var operation in document["paths"]!.AsObject().SelectMany(path => path.Value!.AsObject())) AddExample(operation.Value!);
        return document;
    }

    // A recorded response of a live gateway, unless the part has its own example.
    private static void AddExample(JsonNode operation)
    {
        using var stream = typeof(OpenApiDocument)
            .Assembly.GetManifestResourceStream($"{Examples}{operation["operationId"]!.GetValue<string>()}.json");
        if (stream is null || Answer(operation) is not { } answer || answer["example"] is not null || answer["examples"] is not null)
            return;
        answer["example"] = JsonNode.Parse(stream);
    }

    /// <summary>The JSON of an operation's success response, or null.</summary>
    internal static JsonNode? Answer(JsonNode operation) =>
        operation["responses"]!.AsObject().FirstOrDefault(answer => answer.Key[0] == '2') is { Value: { } success }
            ? success["content"]?["application/json"] : null;

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

    // Removes components that neither a path nor an event refers to, directly or indirectly.
    private static void Prune(JsonObject document)
    {
        var used = new HashSet<string>(StringComparer.Ordinal);
        var open = new Queue<string>();
        Collect(document["paths"]);
        Collect(document["webhooks"]);
        while (open.TryDequeue(out var reference))
        {
            JsonNode? target = document;
            foreach (var part in reference[2..].Split('/')) target = target?[part];
            Collect(target);
        }
        var components = document["components"]!.AsObject();
        foreach (var (kind, group) in components)
        {
            if (kind == "securitySchemes") continue;
            foreach (var name in group!.AsObject().Select(one => one.Key).ToArray())
            {
                if (!used.Contains($"#/components/{kind}/{name}")) group.AsObject().Remove(name);
            }
        }

        // References, and the targets of a discriminator.
        void Collect(JsonNode? node)
        {
            switch (node)
            {
                case JsonObject map:
                    foreach (var (_, value) in map) Collect(value);
                    break;
                case JsonArray list:
                    foreach (var item in list) Collect(item);
                    break;
                case JsonValue value when value.TryGetValue<string>(out var text)
                    && text.StartsWith("#/components/", StringComparison.Ordinal) && used.Add(text):
                    open.Enqueue(text);
                    break;
            }
        }
    }
}
