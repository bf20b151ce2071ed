using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.FunctionalTests.Processes;
using Fairlead.Storage;
using Fairlead.Tests.Common;

namespace Fairlead.FunctionalTests.Erasure;

public sealed class SqliteErasureKillTests() : ErasureKillTests(StorageProvider.Sqlite);

public sealed class PostgresErasureKillTests() : ErasureKillTests(StorageProvider.Postgres);

/// <summary>Kills the program while it erases. The next one goes on, and the chain is proven.</summary>
public abstract class ErasureKillTests : IAsyncLifetime
{
    private const int Kills = 3;

    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-erasure").FullName;
    private readonly string? _postgres;
    private FakeUpstream _upstream = null!;

    private protected ErasureKillTests(StorageProvider provider) => _postgres = provider == StorageProvider.Postgres ? TestPostgres.CreateDatabase() : null;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await ErasureWorld.StartUpstreamAsync();
        await File.WriteAllTextAsync(Path.Combine(_folder, "fairlead.yaml"), ErasureWorld.Yaml(_upstream), Cancel);
    }

    public async ValueTask DisposeAsync()
    {
        await _upstream.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
        if (_postgres is not null) TestPostgres.DropDatabase(_postgres);
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Kill_DuringErasures_NextProcessCompletesThemAndVerifyPasses()
    {
        var server = await ServeAsync();
        try
        {
            var key = await server.ClientKeyAsync();
            for (var i = 0; i < 60; i++)
            {
                var user = i % 3 == 0 ? "ada" : "eve";
                using var response = await ProcessCalls.PostAsync(server, key, $$"""{"model":"m","user":"{{user}}","input":"zq7 {{user}} {{i}}","store":true}""", "/v1/responses");
                Assert.True(response.IsSuccessStatusCode);
            }
            var records = await AuditSight.RecordsWhenAsync(server, all => all.Count == 60);
            var organization = records[0].GetProperty("organization_id").GetString();
            // The command writes into the same database while the server runs.
            await using (var command = Start("audit", "erase", "--end-user", "ada", "--organization", organization!, "--reason", "case 81"))
                Assert.Equal(0, await command.ExitAsync());
            var chance = new Random();
            for (var kill = 0; kill < Kills; kill++)
            {
                // At any moment of it, also before and after.
                await Task.Delay(TimeSpan.FromMilliseconds(chance.Next(0, 400)), TimeProvider.System, Cancel);
                await server.KillAsync();
                await server.DisposeAsync();
                server = await ServeAsync();
            }
            while ((await AuditSight.AdminAsync(server, "/admin/v1/erasures")).GetProperty("data").EnumerateArray().Any(erasure => erasure.GetProperty("status").GetString() != "completed"))
                await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, Cancel);
            Assert.Empty((await AuditSight.AdminAsync(server, "/admin/v1/audit?user=ada")).GetProperty("data").EnumerateArray());
            Assert.Equal(40, (await AuditSight.RecordsAsync(server)).Count);
            await using var verify = Start("audit", "verify");
            Assert.Equal(0, await verify.ExitAsync());
            Assert.Contains("20 removed by retention or erasure", verify.Output, StringComparison.Ordinal);
            if (_postgres is null)
            {
                var bytes = string.Concat(Directory.GetFiles(Path.Combine(_folder, "data"), "fairlead.db*").Select(ReadShared));
                Assert.DoesNotContain("zq7 ada ", bytes, StringComparison.Ordinal);
                Assert.Contains("zq7 eve ", bytes, StringComparison.Ordinal);
            }
        }
        finally
        {
            await server.DisposeAsync();
        }
    }

    [Fact]
    public async Task Command_InvalidArguments_ReturnsTwoAndNamesTheOption()
    {
        await using (var server = await ServeAsync()) Assert.Equal(0, await server.TerminateAsync());
        await using var command = Start("audit", "erase", "--end-user", "ada");
        Assert.Equal(2, await command.ExitAsync());
        Assert.Contains("--organization", command.Error, StringComparison.Ordinal);
    }

    private static string ReadShared(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        using var reader = new StreamReader(stream, System.Text.Encoding.Latin1);
        return reader.ReadToEnd();
    }

    private (string, string)[] Store() => _postgres is null ? [] : [("Fairlead__Storage__ConnectionString", _postgres)];

    private ServerProcess Start(params string[] arguments) => ServerProcess.Start(_folder, arguments, Store());

    private Task<ServerProcess> ServeAsync() => ServerProcess.ServeAsync(_folder, [("FAIRLEAD_ADMIN_KEY", TestGateway.AdminKey), .. Store()]);
}
