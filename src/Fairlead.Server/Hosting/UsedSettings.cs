using System.Text;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Providers;
using Fairlead.Storage;

namespace Fairlead.Server.Hosting;

/// <summary>States where the settings of a start or a check come from, one per line.</summary>
internal static class UsedSettings
{
    private const int MaxNames = 12;

    /// <param name="path">Configuration file; null when there is none.</param>
    /// <param name="configuration">The configuration.</param>
    /// <param name="models">Names of all available models.</param>
    public static string Describe(string? path, GatewayConfiguration configuration, IEnumerable<string> models)
    {
        var text = new StringBuilder();
        Line("Config", path ?? "none (no fairlead.yaml in the working directory, no FAIRLEAD_CONFIG)");
        Line("Data folder", Path.GetFullPath(configuration.DataDirectory));
        if (configuration.Storage.Provider == StorageConfig.Postgres) Line("Database", "PostgreSQL");
        Line("Providers", Names(configuration.Providers.Select(p => p.Key == p.Value.Kind ? p.Key : $"{p.Key} ({p.Value.Kind})")));
        // Models of the file first: an operator looks for those.
        Line("Models", Names(configuration.Models.Keys.Order(StringComparer.Ordinal).Concat(models.Order(StringComparer.Ordinal))
            .Distinct(StringComparer.Ordinal), sorted: true));
        return text.ToString();

        void Line(string name, string value) => text.Append("  ").Append(name.PadRight(13)).Append(value).Append('\n');
    }

    private static string Names(IEnumerable<string> names, bool sorted = false)
    {
        var all = (sorted ? names : names.Order(StringComparer.Ordinal)).ToArray();
        return all.Length == 0 ? "none" : string.Join(", ", all.Take(MaxNames))
            + (all.Length > MaxNames ? $" and {all.Length - MaxNames} more (GET /v1/models)" : "");
    }
}
