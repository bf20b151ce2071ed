using Fairlead.Access;
using Fairlead.Storage;

namespace Fairlead.Tests.Storage;

public sealed class SqliteStorageFaultsTests() : StorageErrorsTests(StorageProvider.Sqlite);

public sealed class PostgresStorageFaultsTests() : StorageErrorsTests(StorageProvider.Postgres);

public abstract class StorageErrorsTests : IDisposable
{
    private readonly TemporaryStorage _temporary;

    private protected StorageErrorsTests(StorageProvider provider) => _temporary = new TemporaryStorage(provider);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Insert_DuplicateId_IsUniqueViolation()
    {
        var fault = await FaultOfAsync("INSERT INTO organizations (id, name, created_at, updated_at) VALUES ('o', 'n', 1, 1); INSERT INTO organizations (id, name, created_at, updated_at) VALUES ('o', 'n', 1, 1)");
        Assert.True(StorageErrors.IsUniqueViolation(fault));
        Assert.True(StorageErrors.IsConstraintViolation(fault));
        Assert.True(StorageErrors.IsStoreError(fault));
        Assert.False(StorageErrors.IsUnavailable(fault) || StorageErrors.IsCollision(fault));
    }

    [Fact]
    public async Task Insert_ParentMissing_IsConstraintViolationButNotUniqueViolation()
    {
        var fault = await FaultOfAsync("INSERT INTO projects (id, organization_id, name, created_at, updated_at) VALUES ('p', 'nobody', 'n', 1, 1)");
        Assert.True(StorageErrors.IsConstraintViolation(fault));
        Assert.False(StorageErrors.IsUniqueViolation(fault));
    }

    [Fact]
    public async Task MissingTable_Error_IsStoreErrorOnly()
    {
        var fault = await FaultOfAsync("SELECT * FROM nothing_of_that_name");
        Assert.True(StorageErrors.IsStoreError(fault));
        Assert.False(StorageErrors.IsConstraintViolation(fault) || StorageErrors.IsUnavailable(fault) || StorageErrors.IsCollision(fault));
        Assert.DoesNotContain("nothing_of", StorageErrors.Describe(fault), StringComparison.Ordinal);
    }

    [Fact]
    public async Task InsertProject_OrganizationMissing_IsConstraintViolation()
    {
        await using var connection = await _temporary.Open().OpenAsync(Cancellation);
        var project = new ProjectRow { Id = "p", OrganizationId = "nobody", Name = "n", CreatedAt = default, UpdatedAt = default };
        var fault = await Assert.ThrowsAnyAsync<System.Data.Common.DbException>(() => ProjectTable.InsertAsync(connection, project, Cancellation));
        Assert.True(StorageErrors.IsConstraintViolation(fault));
        Assert.True(StorageErrors.IsStoreError(fault));
    }

    [Fact]
    public async Task Lock_HeldByAnotherTransaction_WaitsUntilReleased()
    {
        var storage = _temporary.Open();
        await using var first = await storage.OpenAsync(Cancellation);
        await using var held = await storage.Sql.BeginWriteAsync(first, Cancellation);
        await storage.Sql.LockAsync(held, StorageLock.Access, Cancellation);
        var other = Task.Run(async () =>
        {
            await using var second = await storage.OpenAsync(Cancellation);
            await using var transaction = await storage.Sql.BeginWriteAsync(second, Cancellation);
            await storage.Sql.LockAsync(transaction, StorageLock.Access, Cancellation);
            await using var read = second.CreateCommand();
            read.Transaction = transaction;
            read.CommandText = "SELECT COUNT(*) FROM organizations";
            return Convert.ToInt64(await read.ExecuteScalarAsync(Cancellation), null);
        }, Cancellation);

        await using (var insert = first.CreateCommand())
        {
            insert.Transaction = held;
            insert.CommandText = "INSERT INTO organizations (id, name, created_at, updated_at) VALUES ('o', 'n', 1, 1)";
            await insert.ExecuteNonQueryAsync(Cancellation);
        }
        await held.CommitAsync(Cancellation);
        // It had the lock only after the row was there.
        Assert.Equal(1, await other);
    }

    public void Dispose()
    {
        _temporary.Dispose();
        GC.SuppressFinalize(this);
    }

    private async Task<Exception> FaultOfAsync(string sql)
    {
        await using var connection = await _temporary.Open().OpenAsync(Cancellation);
        await using var command = connection.CreateCommand();
#pragma warning disable CA2100 // Constants of the tests.
        command.CommandText = sql;
#pragma warning restore CA2100
        return await Assert.ThrowsAnyAsync<System.Data.Common.DbException>(() => command.ExecuteNonQueryAsync(Cancellation));
    }
}
