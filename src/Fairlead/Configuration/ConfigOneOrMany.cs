using System.Text.Json.Nodes;

namespace Fairlead.Configuration;

/// <summary>A list of sections; a single section counts as a list of one.</summary>
/// <param name="section">The type of its items.</param>
internal sealed class ConfigOneOrMany<T>(ConfigObjectType<T> section) : ConfigOneOrMany
    where T : notnull
{
    private readonly ConfigListType<T> _list = new(section);

    public override ConfigType Item => section;

    public override object? Read(ConfigNode node, string path, ConfigReadContext context) =>
        node is ConfigList ? _list.Read(node, path, context)
        : section.Read(node, path, context) is T single ? (T[])[single] : null;

    public override JsonObject Schema()
    {
        var many = _list.Schema();
        many["minItems"] = 1;
        return new() { ["anyOf"] = new JsonArray(section.Schema(), many) };
    }

    public override string Describe() => "section, or list of sections";
}

/// <inheritdoc/>
internal abstract class ConfigOneOrMany : ConfigType;
