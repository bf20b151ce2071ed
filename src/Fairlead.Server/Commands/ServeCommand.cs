using System.CommandLine;
using Fairlead.Server.Hosting;

namespace Fairlead.Server.Commands;

/// <summary><c>fairlead serve</c>, and <c>fairlead</c> alone.</summary>
internal static class ServeCommand
{
    public static Command Build()
    {
        var command = new Command("serve", "Start the gateway (the default). Host settings may follow as --name=value.");
        AddTo(command);
        return command;
    }

    public static void AddTo(Command command)
    {
        var urls = new Option<string>("--urls")
        {
            Description = "Addresses to listen on, separated by ';'. Default http://127.0.0.1:8080; ASPNETCORE_URLS also sets it.",
            HelpName = "addresses",
        };
        var config = new Option<string>("--config")
        {
            Description = "Configuration file. Default fairlead.yaml in the working directory; FAIRLEAD_CONFIG also sets it.",
            HelpName = "path",
        };
        var noFirstKeys = new Option<bool>("--no-first-keys")
        {
            Description = "Do not create and print keys at the first start. Create them with 'fairlead keys create', or set "
                + "FAIRLEAD_ADMIN_KEY and FAIRLEAD_CLIENT_KEY.",
        };
        command.Options.Add(urls);
        command.Options.Add(noFirstKeys);
        command.Options.Add(config);
        // Hosts pass settings of their own, such as --environment=Development; anything else is a mistake.
        command.TreatUnmatchedTokensAsErrors = false;
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var unknown = parsed.UnmatchedTokens.Where(t => !IsHostSetting(t)).ToArray();
            if (unknown.Length > 0)
            {
                await Console.Error.WriteLineAsync($"'{unknown[0]}' is not a command or an option. Try 'fairlead --help'.");
                return 2;
            }
            return await GatewayServer.RunAsync([.. parsed.UnmatchedTokens], parsed.GetValue(urls), parsed.GetValue(config),
                !parsed.GetValue(noFirstKeys), cancellationToken);
        });
    }

    private static bool IsHostSetting(string token) => token.StartsWith("--", StringComparison.Ordinal)
        && token.IndexOf('=', StringComparison.Ordinal) > 2;
}
