using System.CommandLine;
using Fairlead.Configuration;
using Fairlead.Server.Documentation;

namespace Fairlead.Server.Commands;

/// <summary>Writes the generated parts of the documentation; for Fairlead's developers.</summary>
internal static class DocsCommand
{
    public static Command Build()
    {
        var folder = new Option<DirectoryInfo>("--docs")
        {
            Description = "The docs folder of the repository.",
            DefaultValueFactory = _ => new DirectoryInfo("docs"),
            HelpName = "folder",
        };
        var errors = new Command("errors", "Write errors.md from the list of errors.") { folder };
        errors.SetAction(async (parsed, cancellationToken) =>
            await WriteAsync(parsed, folder, "errors.md", _ => ErrorsPage.Write(), cancellationToken));
        var configuration = new Command("configuration", "Write the tables of configuration.md from the list of keys.") { folder };
        configuration.SetAction(async (parsed, cancellationToken) =>
            await WriteAsync(
                parsed, folder, "configuration.md", page => ConfigurationPage.Refresh(page, ConfigurationSections.BuiltIn),
                cancellationToken));
        var quirks = new Command("quirks", "Write quirks.md from the lists of quirks of providers.") { folder };
        quirks.SetAction(async (parsed, cancellationToken) =>
            await WriteAsync(parsed, folder, "quirks.md", _ => QuirksPage.Write(), cancellationToken));
        return new Command("docs", "Write the generated parts of the documentation.") { errors, configuration, quirks };
    }

    private static async Task<int> WriteAsync(ParseResult parsed, Option<DirectoryInfo> folder, string name, Func<string, string> write,
        CancellationToken cancellationToken)
    {
        var path = Path.Combine(parsed.GetValue(folder)!.FullName, name);
        if (!Directory.Exists(Path.GetDirectoryName(path)))
        {
            await parsed.InvocationConfiguration.Error.WriteLineAsync(
                $"There is no folder {Path.GetDirectoryName(path)}; run this at the root of the repository or give --docs.");
            return 1;
        }
        var before = File.Exists(path) ? await File.ReadAllTextAsync(path, cancellationToken) : "";
        await File.WriteAllTextAsync(path, write(before), cancellationToken);
        await parsed.InvocationConfiguration.Output.WriteLineAsync($"Wrote {path}");
        return 0;
    }
}
