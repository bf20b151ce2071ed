using System.Text.Json.Nodes;
using Fairlead.FunctionalTests.Common.JsonSchema;
using Fairlead.Tests.Common;

namespace Fairlead.FunctionalTests.Contracts;

/// <summary>
/// The published description of OpenAI's responses, if it exists beside the repository (<c>../shared/schemas/openai.json</c>). It is not
/// part of the repository. Our additions are allowed: the <c>fairlead</c> object and the number of an event.
/// </summary>
internal static class PublishedSchemas
{
    private static readonly SchemaRules Additive = new(new HashSet<string> { "fairlead", "sequence_number" }, RefusesUnknownKeywords: false);

    private static readonly SchemaSet? Set = Find() is { } path ? new SchemaSet(_ => JsonNode.Parse(File.ReadAllText(path))!) : null;

    /// <summary>What is wrong with <paramref name="value"/> as <paramref name="name"/>; skips the test where the description is not there.</summary>
    public static IReadOnlyList<string> Faults(string name, JsonNode? value)
    {
        SkipWhereAbsent();
        return Set!.Get($"openai.json#/components/schemas/{name}").Faults(value, Additive);
    }

    /// <summary>Name of the description of a Responses event; null if none describes this type.</summary>
    public static string? EventOf(string type) => Events.Value.GetValueOrDefault(type);

    private static readonly Lazy<Dictionary<string, string>> Events = new(() => JsonNode.Parse(File.ReadAllText(Find()!))!["components"]!["schemas"]!.AsObject()
        .Where(schema => schema.Key.EndsWith("Event", StringComparison.Ordinal) && schema.Value!["properties"]?["type"]?["enum"] is JsonArray)
        .ToDictionary(schema => schema.Value!["properties"]!["type"]!["enum"]![0]!.GetValue<string>(), schema => schema.Key, StringComparer.Ordinal));

    public static void SkipWhereAbsent() => Assert.SkipWhen(Set is null, "The published description is not beside the repository (../shared/schemas/openai.json).");

    private static string? Find()
    {
        var path = Repository.PathOf("..", "shared", "schemas", "openai.json");
        return File.Exists(path) ? path : null;
    }
}
