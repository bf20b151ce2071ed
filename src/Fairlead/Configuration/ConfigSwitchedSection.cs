using System.Text.Json.Nodes;

namespace Fairlead.Configuration;

/// <summary>
/// A section for which <c>true</c> stands if all its keys have their defaults. <c>false</c> and no value mean no section.
/// </summary>
internal sealed class ConfigSwitchedSection(ConfigObjectType section) : ConfigType
{
    public ConfigObjectType Section => section;

    public override object? Read(ConfigNode node, string path, ConfigReadContext context)
    {
        context.Note(path, node.Origin);
        if (node is not ConfigScalar scalar) return section.Read(node, path, context);
        if (scalar.Unusable || scalar.Value is null) return null;
        if (bool.TryParse(scalar.Value, out var isOn)) return isOn ? section.Read(new ConfigMap(node.Origin), path, context) : null;
        context.Error(node, path, scalar.Written ?? scalar.Value, "Not true, false or a section.",
            $"Write true, or {string.Join(" and ", section.Keys.Select(key => key.Name))} below it, indented.");
        return null;
    }

    public override JsonObject Schema() => new()
    {
        ["anyOf"] = new JsonArray(new JsonObject { ["type"] = new JsonArray("boolean", "null") }, section.Schema()),
    };

    public override string Describe() =>
        "`true`, or " + string.Join(" and ", section.Keys.Select(key => $"`{key.Name}` ({key.Type.Describe()})"));
}
