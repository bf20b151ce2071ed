using System.Security.Cryptography;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Providers.Http;
using Fairlead.Server.Hosting;
using Fairlead.Storage;

namespace Fairlead.Server.Failover;

/// <summary>
/// A gateway with the operator's configuration and simulated providers, for one case. Everything that it stores is in a folder of its own,
/// which is deleted at the end. Thread-safe.
/// </summary>
internal sealed class FailoverWorld : IAsyncDisposable
{
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(10);

    private readonly WebApplication _app;
    private readonly DirectoryInfo _folder;
    private readonly TimeProvider _time;

    private FailoverWorld(
        WebApplication app, DirectoryInfo folder, SimulatedUpstream upstream, string key, string adminKey, TimeProvider time)
    {
        _app = app;
        _folder = folder;
        _time = time;
        Upstream = upstream;
        Key = key;
        Http = new HttpClient(new SocketsHttpHandler { UseProxy = false, AllowAutoRedirect = false })
        {
            BaseAddress = LoopbackHost.AddressOf(app),
            Timeout = FailoverClient.Limit,
        };
        AdminKey = adminKey;
    }

    /// <summary>The providers.</summary>
    public SimulatedUpstream Upstream { get; }

    /// <summary>A key that may call all models.</summary>
    public string Key { get; }

    /// <summary>The key of the administrator.</summary>
    public string AdminKey { get; }

    /// <summary>Has the address of the gateway.</summary>
    public HttpClient Http { get; }

    /// <summary>The services of the gateway.</summary>
    public IServiceProvider Services => _app.Services;

    /// <param name="configuration">The operator's.</param>
    /// <param name="test">The case.</param>
    /// <param name="time">The clock.</param>
    /// <param name="cancellationToken">Stops the start.</param>
    public static async Task<FailoverWorld> StartAsync(
        GatewayConfiguration configuration, FailoverCase test, TimeProvider time, CancellationToken cancellationToken)
    {
        FailoverWorld? world = null;
        WebApplication? app = null;
        var upstream = await SimulatedUpstream.StartAsync(
            request => test.IsFlapping && world is { HasRecovered: true } ? SimulatedFault.None : test.Script(request),
            time, cancellationToken);
        DirectoryInfo? folder = null;
        try
        {
            folder = Directory.CreateTempSubdirectory("fairlead-failover-");
            var (key, adminKey) = (RandomNumberGenerator.GetHexString(48), RandomNumberGenerator.GetHexString(48));
            var builder = LoopbackHost.CreateBuilder();
            builder.Configuration.AddInMemoryCollection([new(ClientKey.Variable, key), new(Access.AdminKey.Variable, adminKey)]);
            builder.Services.AddSingleton<Fairlead.Configuration.IConfigurationSource>(
                new FixedConfigurationSource(FailoverConfiguration.Of(configuration, Path.Combine(folder.FullName, "data"))));
            builder.Services.AddSingleton(new UpstreamRedirect(upstream.Address));
            // The first kind of a name counts.
            builder.Services.AddSingleton(RedirectedSimulatedKind.Create());
            builder.AddFairlead(new ConfigurationInput { WorkingDirectory = folder.FullName });
            app = builder.Build();
            DataDirectory.Prepare(Path.Combine(folder.FullName, "data"));
            app.MapFairlead();
            await app.Services.GetRequiredService<IStorage>().EnsureReadyAsync(cancellationToken);
            await app.StartAsync(cancellationToken);
            return world = new FailoverWorld(app, folder, upstream, key, adminKey, time);
        }
        finally
        {
            if (world is null) await DisposeAsync(upstream, app, folder);
        }
    }

    /// <summary>Whether the flapping deployment has recovered.</summary>
    public bool HasRecovered { get; private set; }

    /// <summary>Ends the failure of the flapping deployment.</summary>
    public void Recover() => HasRecovered = true;

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        // First: a stop waits for requests that the providers hold.
        await Upstream.DisposeAsync();
        using (var limit = new CancellationTokenSource(StopLimit, _time)) await _app.StopAsync(limit.Token);
        await DisposeAsync(Upstream, _app, _folder);
    }

    private static async Task DisposeAsync(SimulatedUpstream upstream, WebApplication? app, DirectoryInfo? folder)
    {
        await upstream.DisposeAsync();
        if (app is not null) await app.DisposeAsync();
        if (folder is null) return;
        try
        {
            folder.Delete(recursive: true);
        }
        catch (IOException)
        {
            // A leftover in the temporary folder is no failure of the test.
        }
    }
}
