using System.Text;
using Fairlead.Configuration;

namespace Fairlead.Server.Documentation;

/// <summary>Generates the tables of <c>docs/configuration.md</c>, between two headings, from the reader's own table of keys.</summary>
internal static class ConfigurationPage
{
    public const string Begin = "## All keys";
    public const string End = "## Environment variables";

    /// <summary>The page with newly generated tables.</summary>
    /// <exception cref="InvalidOperationException">The headings around the table are missing.</exception>
    public static string Refresh(string page, ConfigKeys keys)
    {
        var from = page.IndexOf(Begin, StringComparison.Ordinal);
        var to = page.IndexOf(End, StringComparison.Ordinal);
        if (from < 0 || to < from)
        {
            throw new InvalidOperationException($"docs/configuration.md needs the headings '{Begin}' and '{End}', in this order.");
        }
        return page[..from] + Begin
            + "\n\nAll keys are below `fairlead:`. The tables are generated from the program (`fairlead docs configuration`).\n\n"
            + Tables(keys) + page[to..];
    }

    public static string Tables(ConfigKeys keys)
    {
        var text = new StringBuilder();
        var pending = new Queue<(string Path, ConfigObjectType Type)>([("", keys.Fairlead)]);
        while (pending.TryDequeue(out var section))
        {
            text.Append("### ").Append(section.Path.Length == 0 ? "Top level" : section.Path.Replace("<", "\\<", StringComparison.Ordinal))
                .Append("\n\n| Key | Value | Default | Meaning |\n|---|---|---|---|\n");
            foreach (var key in section.Type.Keys)
            {
                var (description, inner, suffix) = Describe(key.Type);
                if (inner is not null)
                {
                    pending.Enqueue(((section.Path.Length == 0 ? key.Name : $"{section.Path}.{key.Name}") + suffix, inner));
                }
                text.Append("| `").Append(key.Name).Append("` | ").Append(description).Append(" | ")
                    .Append(key.Required ? "required" : key.Default is { Length: > 0 } value ? $"`{value}`" : "").Append(" | ")
                    .Append(key.Summary).Append(" |\n");
            }
            text.Append('\n');
        }
        return text.ToString();
    }

    private static (string Description, ConfigObjectType? Inner, string Suffix) Describe(ConfigType type) => type switch
    {
        ConfigObjectType section => ("section", section, ""),
        ConfigMapType { Item: ConfigObjectType section } map => ($"sections by name of {map.What}", section, $".<{map.What}>"),
        ConfigOneOrMany { Item: ConfigObjectType section } => (type.Describe(), section, ""),
        ConfigListType { Item: ConfigObjectType section } => ("list of sections", section, "[]"),
        _ => (type.Describe(), null, ""),
    };
}
