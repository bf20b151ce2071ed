using System.CommandLine;

namespace Fairlead.Server.Commands;

/// <summary>The <c>fairlead</c> command. Exit codes: 0 success, 1 failure with a message, 2 invalid command line.</summary>
internal static class FairleadCommand
{
    public static async Task<int> RunAsync(string[] args)
    {
        var root = Build();
        var parsed = root.Parse(args);
        if (parsed.Errors.Count > 0)
        {
            foreach (var error in parsed.Errors) await Console.Error.WriteLineAsync(error.Message);
            await Console.Error.WriteLineAsync("Try 'fairlead --help'.");
            return 2;
        }
        // The host handles signals itself and may drain longer than a command line would wait.
        return await parsed.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null,
            EnableDefaultExceptionHandler = false });
    }

    internal static RootCommand Build()
    {
        var root = new RootCommand("""
            Fairlead: one API in front of AI models, with keys, limits, failover and an audit trail.

            Without a command, the gateway starts on http://127.0.0.1:8080. The first start prints an admin key, a client key and an example request.
            Settings come from fairlead.yaml (or FAIRLEAD_CONFIG), the environment, and the makers' own variables such as OPENAI_API_KEY.
            """);
        ServeCommand.AddTo(root);
        root.Subcommands.Add(ServeCommand.Build());
        root.Subcommands.Add(ConfigCommand.Build());
        root.Subcommands.Add(KeysCommand.Build());
        root.Subcommands.Add(ProvidersCommand.Build());
        root.Subcommands.Add(AuditCommand.Build());
        root.Subcommands.Add(TestCommand.Build());
        root.Subcommands.Add(DocsCommand.Build());
        return root;
    }
}
