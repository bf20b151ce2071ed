using System.CommandLine;
using System.Text;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Server.Failover;
using Fairlead.Server.Hosting;

namespace Fairlead.Server.Commands;

/// <summary>
/// <c>fairlead test failover</c>: the configuration with simulated providers that fail. Exit codes: 0 all cases passed, 1 a case failed or
/// the configuration cannot be used, 2 invalid command line.
/// </summary>
internal static class TestCommand
{
    public static Command Build()
    {
        var config = new Option<string?>("--config")
        {
            Description = "Configuration file. Default FAIRLEAD_CONFIG, else fairlead.yaml in the working directory.",
            HelpName = "path",
        };
        var models = new Option<string[]>("--model")
        {
            Description = "A chat model to test; repeat for several. Default: all chat models that the configuration lists.",
            HelpName = "model",
        };
        var cases = new Option<string[]>("--case")
        {
            Description = "A case to run; repeat for several. Default: all. One of "
                + $"{string.Join(", ", FailoverCase.All.Select(test => test.Name))}.",
            HelpName = "case",
        };
        cases.AcceptOnlyFromAmong([.. FailoverCase.All.Select(test => test.Name)]);
        var api = new Option<string>("--api")
        {
            Description = $"The API that the requests use. One of {string.Join(", ", FailoverClient.Names)}.",
            HelpName = "api",
            DefaultValueFactory = _ => FailoverClient.Names[0],
        };
        api.AcceptOnlyFromAmong([.. FailoverClient.Names]);
        var json = new Option<bool>("--json") { Description = "Print the results as JSON." };
        var failover = new Command("failover",
            "Run the configuration with simulated providers that fail, and check what a client gets. No request leaves this machine, and "
            + "the data of the server are not touched.") { config, models, cases, api, json };
        failover.SetAction((parsed, cancellationToken) => RunAsync(parsed.GetValue(config), parsed.GetValue(models) ?? [],
            parsed.GetValue(cases) ?? [], parsed.GetValue(api)!, parsed.GetValue(json), parsed.InvocationConfiguration.Output,
            parsed.InvocationConfiguration.Error, cancellationToken));
        return new Command("test", "Test a configuration without its providers.") { failover };
    }

    private static async Task<int> RunAsync(string? path, string[] models, string[] cases, string api, bool asJson, TextWriter output,
        TextWriter error, CancellationToken cancellationToken)
    {
        var (configuration, targets) = Read(path, models, error);
        if (configuration is null) return 1;
        var tests = FailoverCase.All.Where(test => cases.Length == 0 || cases.Contains(test.Name)).ToList();
        var suite = new FailoverSuite(configuration, FailoverClient.Of(api), TimeProvider.System);
        if (!asJson) await output.WriteLineAsync(FailoverReport.Head);
        IReadOnlyList<FailoverResult> results;
        try
        {
            results = await suite.RunAsync(tests, targets, Report, cancellationToken);
        }
        catch (Exception failure) when (failure is not OperationCanceledException)
        {
            // The configuration is valid, so it is this machine: no temporary folder, no free port.
            StartFailure.Write(error, failure, null);
            return 1;
        }
        await output.WriteLineAsync(asJson ? Encoding.UTF8.GetString(FailoverReport.Json(api, results)) : FailoverReport.Summary(results));
        return results.All(result => result.Verdict.Passed) ? 0 : 1;

        void Report(FailoverResult result)
        {
            if (asJson) return;
            output.WriteLine(FailoverReport.Row(result));
            output.Flush();
        }
    }

    // As the server reads it, with all checks; nothing is started.
    private static (GatewayConfiguration? Configuration, IReadOnlyList<FailoverTarget> Targets) Read(
        string? path, IReadOnlyList<string> names, TextWriter error)
    {
        var nowhere = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        using var app = GatewayServer.CreateForInspection(new ConfigurationInput { WorkingDirectory = nowhere });
        var process = ConfigurationInput.FromProcess();
        var input = (process with { Path = path ?? process.Path }).For(app.Services);
        var result = ConfigurationReader.Read(input, app.Services.GetRequiredService<ConfigKeys>());
        if (result.Configuration is not { } configuration)
        {
            StartFailure.WriteErrors(error, result.Errors, result.Path);
            return (null, []);
        }
        var models = app.Services.GetRequiredService<CatalogueBuilder>().Models(configuration);
        var targets = FailoverSuite.TargetsOf(configuration, models, names, out var unknown);
        foreach (var name in unknown) error.WriteLine($"'{name}' is not a chat model of this configuration.");
        if (unknown.Count > 0) return (null, []);
        if (targets.Count > 0) return (configuration, targets);
        error.WriteLine("The configuration has no chat model. Add one under fairlead.models, or configure a provider that offers some.");
        return (null, []);
    }
}
