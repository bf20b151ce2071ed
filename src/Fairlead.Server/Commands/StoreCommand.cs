using System.CommandLine;
using Fairlead.Configuration;
using Fairlead.Server.Hosting;
using Fairlead.Storage;
using IConfigurationSource = Fairlead.Configuration.IConfigurationSource;

namespace Fairlead.Server.Commands;

/// <summary>What commands have in common that work on the store of this machine, with or without a running server.</summary>
internal static class StoreCommand
{
    public static Option<string> ConfigOption() => new("--config")
    {
        Description = "Configuration file that names the data folder. Default FAIRLEAD_CONFIG, else fairlead.yaml in the working directory.",
        HelpName = "path",
        Recursive = true,
    };

    public static async Task<int> RunAsync(
        ParseResult parsed, Option<string> config, Func<IServiceProvider, TextWriter, TextWriter, Task<int>> work,
        CancellationToken cancellationToken)
    {
        var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        try
        {
            // Only the store is read: other settings may be invalid here.
            await using var app = GatewayServer.CreateForInspection(
                ConfigurationInput.FromProcess() with { Path = parsed.GetValue(config), StoreOnly = true });
            var configuration = app.Services.GetRequiredService<IConfigurationSource>().Current;
            var folder = Path.GetFullPath(configuration.DataDirectory);
            if (configuration.Storage.Provider == StorageConfig.Postgres)
            {
                await error.WriteLineAsync("Database: PostgreSQL, by the configuration's storage.connectionString");
            }
            else
            {
                await error.WriteLineAsync($"Data folder: {folder}");
                if (!File.Exists(Path.Combine(folder, "fairlead.db")))
                {
                    throw new StartException(
                        $"There is no database in {folder}. Run this where the server runs, name its folder with FAIRLEAD_DATA or "
                        + "--config, or start the server there once.");
                }
                DataDirectory.Prepare(folder);
            }
            await app.Services.GetRequiredService<IStorage>().EnsureReadyAsync(cancellationToken);
            return await work(app.Services, output, error);
        }
        catch (Exception failure)
            when (failure is ConfigurationException or StartException or StorageException or System.Data.Common.DbException)
        {
            StartFailure.Write(error, failure, null, start: false);
            return 1;
        }
    }
}
