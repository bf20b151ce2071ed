using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Server.Hosting;
using Fairlead.Storage;
using Fairlead.Tests.Common;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Fairlead.FunctionalTests.Common;

/// <summary>
/// A gateway as an embedding app would run it: real Kestrel on loopback, a separate real database (SQLite by default), the simulated
/// models. Tests use it over HTTP only.
/// </summary>
public sealed class TestGateway : IAsyncDisposable
{
    public const string AdminKey = "test-administration-key-0001";

    private readonly WebApplication _app;
    private readonly DirectoryInfo _folder;
    private string? _postgres;

    private TestGateway(WebApplication app, DirectoryInfo folder, string url)
    {
        _app = app;
        _folder = folder;
        Url = url;
        Admin = MakeClient(AdminKey);
    }

    public string Url { get; }

    /// <summary>Speaks with the admin key.</summary>
    public HttpClient Admin { get; }

    /// <summary>A key with the usual scopes.</summary>
    public string Key { get; private set; } = "";

    public HttpClient Client { get; private set; } = null!;

    public string ProjectId { get; private set; } = "";

    public IServiceProvider Services => _app.Services;

    public string DataDirectory => Path.Combine(_folder.FullName, "data");

    /// <param name="yaml">Body of fairlead.yaml, or null for none.</param>
    /// <param name="configure">Last word on the builder.</param>
    public static Task<TestGateway> StartAsync(string? yaml = null, Action<WebApplicationBuilder, FairleadBuilder>? configure = null) => StartAsync(yaml, configure, postgres: null);

    /// <summary>The same on a database of the kind asked for, which goes with the gateway.</summary>
    internal static async Task<TestGateway> StartAsync(StorageProvider store, string? yaml = null)
    {
        if (store == StorageProvider.Sqlite) return await StartAsync(yaml);
        var database = TestPostgres.CreateDatabase();
        var gateway = await StartAsync(yaml, configure: null, database);
        gateway._postgres = database;
        return gateway;
    }

    /// <summary>The same on a database that the caller has made.</summary>
    internal static Task<TestGateway> StartOnAsync(string postgres, string? yaml = null) => StartAsync(yaml, configure: null, postgres);

    private static async Task<TestGateway> StartAsync(string? yaml, Action<WebApplicationBuilder, FairleadBuilder>? configure, string? postgres)
    {
        var folder = Directory.CreateTempSubdirectory("fairlead-test-");
        var file = Path.Combine(folder.FullName, "fairlead.yaml");
        await File.WriteAllTextAsync(file, yaml ?? "fairlead: {}\n");
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ContentRootPath = folder.FullName });
        builder.Logging.ClearProviders();
        builder.Configuration["FAIRLEAD_ADMIN_KEY"] = AdminKey;
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var environment = new Dictionary<string, string> { ["FAIRLEAD_DATA"] = Path.Combine(folder.FullName, "data") };
        if (postgres is not null) environment["Fairlead__Storage__ConnectionString"] = postgres;
        var fairlead = builder.AddFairlead(new ConfigurationInput
        {
            Path = file,
            WorkingDirectory = folder.FullName,
            Environment = environment,
        });
        configure?.Invoke(builder, fairlead);
        var app = builder.Build();
        app.MapFairlead();
        await app.StartAsync();
        var url = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        var gateway = new TestGateway(app, folder, url);
        await gateway.MakeUsualKeyAsync();
        return gateway;
    }

    public HttpClient MakeClient(string? key)
    {
        var client = new HttpClient { BaseAddress = new Uri(Url), Timeout = TimeSpan.FromSeconds(60) };
        if (key is not null) client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
        return client;
    }

    /// <summary>
    /// Blocks all database writes until disposed: it holds SQLite's write lock, or makes PostgreSQL transactions read-only.
    /// </summary>
    internal async Task<IAsyncDisposable> BlockWritesAsync()
    {
        if (_postgres is not null)
        {
            var name = new NpgsqlConnectionStringBuilder(_postgres).Database;
            var writing = new NpgsqlConnectionStringBuilder(_postgres) { Options = "-c default_transaction_read_only=off" }.ConnectionString;
            SetReadOnly("on");
            return new Unblock(async () =>
            {
                SetReadOnly("off");
                // The gateway learns of an ended connection when it uses it, and then of all of them.
                while (!await AnswersAsync()) await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System);
            });

            // Holds for new connections: those that there are end.
            void SetReadOnly(string value)
            {
                TestPostgres.Execute(writing, $"ALTER DATABASE {name} SET default_transaction_read_only = {value}");
                TestPostgres.Execute(writing, $"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()");
            }
        }
        var connection = new SqliteConnection($"Data Source={Path.Combine(DataDirectory, "fairlead.db")};Pooling=False");
        await connection.OpenAsync();
        await using var locks = connection.CreateCommand();
        locks.CommandText = "BEGIN IMMEDIATE";
        await locks.ExecuteNonQueryAsync();
        return connection;
    }

    private async Task<bool> AnswersAsync()
    {
        try
        {
            await using var connection = await Services.GetRequiredService<IStorage>().OpenAsync(CancellationToken.None);
            await using var command = connection.CreateCommand();
            command.CommandText = "SELECT 1";
            await command.ExecuteScalarAsync();
            return true;
        }
        catch (NpgsqlException)
        {
            return false;
        }
    }

    /// <summary>Makes a key in the usual project and gives its secret and id.</summary>
    public async Task<(string Secret, string Id)> MakeKeyAsync(string fields)
    {
        var made = await Admin.PostForJsonAsync("/admin/v1/keys", $$"""{"name":"k","project_id":"{{ProjectId}}",{{fields}}}""");
        return (made.GetProperty("secret").GetString()!, made.GetProperty("id").GetString()!);
    }

    public async ValueTask DisposeAsync()
    {
        Admin.Dispose();
        Client?.Dispose();
        await _app.StopAsync();
        await _app.DisposeAsync();
        _folder.Delete(recursive: true);
        if (_postgres is not null) TestPostgres.DropDatabase(_postgres);
    }

    private async Task MakeUsualKeyAsync()
    {
        var organization = await Admin.PostForJsonAsync("/admin/v1/organizations", """{"name":"Test"}""");
        var project = await Admin.PostForJsonAsync("/admin/v1/projects", $$"""{"name":"Test","organization_id":"{{organization.GetProperty("id").GetString()}}"}""");
        ProjectId = project.GetProperty("id").GetString()!;
        (Key, _) = await MakeKeyAsync("\"scopes\":[\"chat\",\"embeddings\",\"batches\",\"models:read\",\"usage:read\",\"webhooks\"]");
        Client = MakeClient(Key);
    }
}

internal sealed class Unblock(Func<Task> unblock) : IAsyncDisposable
{
    public async ValueTask DisposeAsync() => await unblock();
}

/// <summary>One gateway for all tests of a class.</summary>
public sealed class GatewayFixture : IAsyncLifetime
{
    public TestGateway Gateway { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Gateway = await TestGateway.StartAsync();

    public ValueTask DisposeAsync() => Gateway.DisposeAsync();
}
