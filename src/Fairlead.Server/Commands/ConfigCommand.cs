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
        var path = new Argument<string?>(
            "path") { Description = "Configuration file. Default FAIRLEAD_CONFIG, else fairlead.yaml in the working directory.",
            Arity = ArgumentArity.ZeroOrOne };
        var check = new Command("check",
            "Read the configuration without starting the server, and list every error. Exit code 1 if there are errors.") { path };
        check.SetAction(parsed =>
            Check(parsed.GetValue(path), parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error));
        var schema = new Command("schema", "Print the JSON Schema of the configuration file, for editors.");
        schema.SetAction(parsed => parsed.InvocationConfiguration.Output.Write(ConfigurationSchema.Text(ConfigurationSections.BuiltIn)));
        return new Command("config", "Check the configuration; print its schema.") { check, schema };
    }

    private static int Check(string? path, TextWriter output, TextWriter error)
    {
        // The same services as at a start, so that the models are checked too; none of them is started. They are created without any
        // configuration: the checked file may have errors, and a service that cannot be created would report only the first.
        var nowhere = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        using var app = GatewayServer.CreateForInspection(new ConfigurationInput { WorkingDirectory = nowhere });
        var catalogue = app.Services.GetService<CatalogueBuilder>();
        var input = (ConfigurationInput.FromProcess() with { Path = path }).For(app.Services);
        var result = ConfigurationReader.Read(input, app.Services.GetRequiredService<ConfigKeys>());
        if (result.Configuration is not { } configuration)
        {
            StartFailure.WriteErrors(error, result.Errors, result.Path);
            return 1;
        }
        output.WriteLine(result.Path is null ? "No configuration file; defaults and environment are valid." : $"{result.Path} is valid.");
        output.Write(UsedSettings.Describe(result.Path, configuration, catalogue?.ModelNames(configuration) ?? []));
        return 0;
    }
}
