using System.Globalization;
using Fairlead.Storage;

namespace Fairlead.Tests.Storage;

public sealed class SqliteSchemaMigratorTests() : SchemaMigratorTests(StorageProvider.Sqlite);

public sealed class PostgresSchemaMigratorTests() : SchemaMigratorTests(StorageProvider.Postgres);

public abstract class SchemaMigratorTests : IDisposable
{
    private readonly TemporaryStorage _temporary;

    private protected SchemaMigratorTests(StorageProvider provider) => _temporary = new TemporaryStorage(provider);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task EnsureReady_CalledTwice_AppliesEachStepOnce()
    {
        var step = new Step(1000, "CREATE TABLE noted (id INTEGER); INSERT INTO noted VALUES (1);");
        await _temporary.Open(step).EnsureReadyAsync(Cancellation);
        var second = _temporary.Open(step);
        await second.EnsureReadyAsync(Cancellation);
        await second.EnsureReadyAsync(Cancellation);

        Assert.Equal(1, await NumberAsync(second, "SELECT COUNT(*) FROM noted"));
        Assert.Equal(TemporaryStorage.OwnSteps + 1, await NumberAsync(second, "SELECT COUNT(*) FROM schema_version"));
    }

    [Fact]
    public async Task EnsureReady_Concurrent_AppliesEachStepOnce()
    {
        var step = new Step(1000, "CREATE TABLE noted (id INTEGER); INSERT INTO noted VALUES (1);");
        var storages = Enumerable.Range(0, 6).Select(_ => _temporary.Open(step)).ToArray();
        await Task.WhenAll(storages.Select(storage => Task.Run(() => storage.EnsureReadyAsync(Cancellation), Cancellation)));

        Assert.Equal(1, await NumberAsync(storages[0], "SELECT COUNT(*) FROM noted"));
    }

    [Fact]
    public async Task EnsureReady_FailingStep_LeavesSchemaUnchanged()
    {
        await _temporary.Open().EnsureReadyAsync(Cancellation);
        var broken = _temporary.Open(new Step(1000, "CREATE TABLE noted (id INTEGER);"), new Step(1001, "CREATE TABLE noted (id INTEGER);"));
        await Assert.ThrowsAsync<StorageException>(() => broken.EnsureReadyAsync(Cancellation));

        var mended = _temporary.Open(new Step(1000, "CREATE TABLE noted (id INTEGER);"));
        await mended.EnsureReadyAsync(Cancellation);
        Assert.Equal(TemporaryStorage.OwnSteps + 1, await NumberAsync(mended, "SELECT COUNT(*) FROM schema_version"));
    }

    [Fact]
    public async Task EnsureReady_StepAddedLaterWithLowerNumber_IsStillApplied()
    {
        await _temporary.Open(new Step(2000, "CREATE TABLE late (id INTEGER);")).EnsureReadyAsync(Cancellation);
        var both = _temporary.Open(new Step(1000, "CREATE TABLE early (id INTEGER);"), new Step(2000, "CREATE TABLE late (id INTEGER);"));
        await both.EnsureReadyAsync(Cancellation);
        Assert.Equal(0, await NumberAsync(both, "SELECT COUNT(*) FROM early"));
    }

    [Fact]
    public async Task EnsureReady_NewerDatabaseVersion_ThrowsNamingVersion()
    {
        await _temporary.Open(new Step(9000, "CREATE TABLE future (id INTEGER);")).EnsureReadyAsync(Cancellation);
        var fault = await Assert.ThrowsAsync<SchemaException>(() => _temporary.Open().EnsureReadyAsync(Cancellation));
        Assert.Contains("9000", fault.Message, StringComparison.Ordinal);
        Assert.Contains("newer version", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Constructor_DuplicateStepNumber_ThrowsNamingBoth()
    {
        var fault = Assert.Throws<SchemaException>(() => new SchemaMigrator([new Step(7, "", "left"), new Step(7, "", "right")], TimeProvider.System));
        Assert.Contains("'left' and 'right'", fault.Message, StringComparison.Ordinal);
    }

    public void Dispose()
    {
        _temporary.Dispose();
        GC.SuppressFinalize(this);
    }

    private static async Task<long> NumberAsync(IStorage storage, string sql)
    {
        await using var connection = await storage.OpenAsync(Cancellation);
        await using var command = connection.CreateCommand();
#pragma warning disable CA2100 // Constants of this test.
        command.CommandText = sql;
#pragma warning restore CA2100
        return Convert.ToInt64(await command.ExecuteScalarAsync(Cancellation), CultureInfo.InvariantCulture);
    }

    private sealed class Step(int version, string sql, string name = "test") : ISchemaStep
    {
        public int Version => version;

        public string Name => name;

        public string Sql(SqlFlavour flavour) => sql;
    }
}
