using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Http;
using Fairlead.Server.Documentation;
using Fairlead.Storage;
using Fairlead.Telemetry;
using Fairlead.TokenCounting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using IConfigurationSource = Fairlead.Configuration.IConfigurationSource;

namespace Fairlead.Server.Hosting;

/// <summary>The complete server: library, documentation, export of telemetry, and start errors with explanations.</summary>
internal static class GatewayServer
{
    public const string DefaultAddress = "http://127.0.0.1:8080";

    public static async Task<int> RunAsync(string[] hostArgs, string? urls, string? config, bool firstKeys,
        CancellationToken cancellationToken)
    {
        var logging = LogSettings.FromEnvironment(Environment.GetEnvironmentVariable);
        if (logging.Fault is { } fault)
        {
            await Console.Error.WriteLineAsync(fault);
            return 1;
        }
        // A third of a second of work that the first response needs and the start does not. With two processors it costs no time if it
        // starts now.
        Vocabulary.O200k.LoadInBackground();
        // Keys must not appear between the lines of a machine-readable log.
        var output = logging.Json ? Console.Error : Console.Out;
        string? addresses = null;
        var started = false;
        try
        {
            var input = ConfigurationInput.FromProcess() with { Path = config };
            var builder = CreateBuilder(hostArgs, urls, input, logging, () => started);
            addresses = builder.WebHost.GetSetting(WebHostDefaults.ServerUrlsKey);
            builder.AddFairlead(input);
            await using var app = builder.Build();
            // First of all, because mapping creates what writes there.
            DataDirectory.Prepare(app.Services.GetRequiredService<IConfigurationSource>().Current.DataDirectory);
            FirstStart firstStart;
            FirstStartKeys? keys;
            var time = app.Services.GetRequiredService<TimeProvider>();
            await using (var room = new StandbyListener(() => CreateWebBuilder(hostArgs, urls, logging, () => started), time,
                cancellationToken))
            {
                try
                {
                    await app.Services.GetRequiredService<DataFolderLock>().HoldAsync(room.Wait, room.Stopping);
                    Map(app);
                    await StoreStart.WaitAsync(app.Services.GetRequiredService<IStorage>(), time, Console.Error, room.Stopping);
                    firstStart = app.Services.GetRequiredService<FirstStart>();
                    keys = firstKeys ? await firstStart.RunAsync(room.Stopping) : null;
                }
                catch (OperationCanceledException) when (room.Stopping.IsCancellationRequested)
                {
                    await Console.Error.WriteLineAsync("Stopped before startup was complete.");
                    return 0;
                }
            }
            await app.StartAsync(cancellationToken);
            started = true;

            var settings = UsedSettings.Describe(input.FilePath, app.Services.GetRequiredService<IConfigurationSource>().Current,
                app.Services.GetRequiredService<ICatalogue>().Current.Models.Select(m => m.Id));
            await output.WriteAsync(FirstOutput.For(ProductVersion.Text, AddressOf(app), settings, keys));
            await output.FlushAsync(cancellationToken);
            if (keys is not null) await firstStart.ConfirmAsync(cancellationToken);
            await app.WaitForShutdownAsync(CancellationToken.None);
            return 0;
        }
        // A test host takes over when the application is built, and signals it by this exception.
        catch (Exception failure) when (!started && failure is not HostAbortedException)
        {
            StartFailure.Write(Console.Error, failure, addresses);
            if (logging.Level <= LogLevel.Debug) await Console.Error.WriteLineAsync(failure.ToString());
            return 1;
        }
    }

    /// <summary>All services, nothing started: for commands that only read.</summary>
    public static WebApplication CreateForInspection(ConfigurationInput? input = null)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.AddFairlead(input ?? ConfigurationInput.FromProcess());
        return builder.Build();
    }

    private static WebApplicationBuilder CreateBuilder(string[] hostArgs, string? urls, ConfigurationInput input, LogSettings logging,
        Func<bool> started)
    {
        var builder = CreateWebBuilder(hostArgs, urls, logging, started);
        builder.AddTelemetryExport(input);
        return builder;
    }

    private static WebApplicationBuilder CreateWebBuilder(string[] hostArgs, string? urls, LogSettings logging, Func<bool> started)
    {
        // Watching appsettings.json means watching the working directory, and with it every write to ./data: measured 10 % of the
        // processor.
        // The gateway's own file is polled separately.
        var builder = WebApplication.CreateSlimBuilder(["--hostBuilder:reloadConfigOnChange=false", .. hostArgs]);
        logging.Apply(builder.Logging, started);
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(options =>
        {
            options.AddServerHeader = false;
            // The configuration limits bodies and may change, which this limit cannot; the gateway reads none beyond its own limit.
            options.Limits.MaxRequestBodySize = null;
            options.Limits.MaxRequestHeadersTotalSize = 32 * 1024;
            options.Limits.MaxRequestHeaderCount = 100;
            options.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(15);
        });
        // The gateway's handlers wait for providers without blocking a thread, so they may continue on the I/O thread.
        builder.WebHost.UseSockets(options => options.UnsafePreferInlineScheduling = true);
        if (urls is not null) builder.WebHost.UseUrls(urls);
        else if (builder.Configuration[WebHostDefaults.ServerUrlsKey] is null && builder.Configuration["http_ports"] is null
            && builder.Configuration["https_ports"] is null)
        {
            builder.WebHost.UseUrls(DefaultAddress);
        }

        return builder;
    }

    private static void Map(WebApplication app)
    {
        app.UseDocumentationPolicy();
        app.MapFairlead();
        app.MapDocumentation();
        app.MapMetrics();
        UnknownAddressEndpoint.MapEverythingElse(app);
    }

    private static string AddressOf(WebApplication app) =>
        app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()?.Addresses.FirstOrDefault() is { } address
            ? FirstOutput.Reachable(address) : DefaultAddress;
}
