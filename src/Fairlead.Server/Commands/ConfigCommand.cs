using System.CommandLine;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Server.Hosting;

namespace Fairlead.Server.Commands;

/// <summary><c>fairlead config check [path]</c> and <c>fairlead config schema</c>.</summary>
internal static class ConfigCommand
{
    public static Command Build()
    {
        var path = new Argument<string?>("path") { Description = "Configuration file. Default FAIRLEAD_CONFIG, else fairlead.yaml in the working directory.", Arity = ArgumentArity.ZeroOrOne };
        var check = new Command("check", "Read the configuration as a start would, and list every fault. Exit code 1 when there are any.") { path };
        check.SetAction(parsed => Check(parsed.GetValue(path), parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error));
        var schema = new Command("schema", "Print the JSON Schema of the configuration file, for editors.");
        schema.SetAction(parsed => parsed.InvocationConfiguration.Output.Write(ConfigurationSchema.Text()));
        return new Command("config", "Check the configuration; print its schema.") { check, schema };
    }

    private static int Check(string? path, TextWriter output, TextWriter error)
    {
        // The same services as a start has, so that the models are checked too; nothing of them is started. They are made without any configuration: what is to be checked may
        // have faults, and services that cannot be made would say the first of them instead of all.
        using var app = GatewayServer.CreateForInspection(new ConfigurationInput { WorkingDirectory = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName()) });
        var input = (ConfigurationInput.FromProcess() with { Path = path }).WithCatalogue(app.Services.GetService<CatalogueBuilder>());
        var result = ConfigurationReader.Read(input);
        if (result.Configuration is not { } configuration)
        {
            StartFailure.WriteFaults(error, result.Faults, result.Path);
            return 1;
        }
        output.WriteLine(result.Path is null ? "No configuration file; defaults and environment are fine." : $"{result.Path} is fine.");
        output.WriteLine($"  data directory  {Path.GetFullPath(configuration.DataDirectory)}");
        output.WriteLine($"  providers       {Names(configuration.Providers.Select(p => p.Key == p.Value.Kind ? p.Key : $"{p.Key} ({p.Value.Kind})"))}");
        output.WriteLine($"  models          {(configuration.Models.Count == 0 ? "those of the catalogue" : Names(configuration.Models.Keys) + ", and those of the catalogue")}");
        return 0;
    }

    private static string Names(IEnumerable<string> names) => string.Join(", ", names.Order(StringComparer.Ordinal)) is { Length: > 0 } text ? text : "none";
}
