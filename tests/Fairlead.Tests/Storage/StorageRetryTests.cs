using Fairlead.Storage;
using Npgsql;

namespace Fairlead.Tests.Storage;

public sealed class StorageRetryTests : IDisposable
{
    private readonly TemporaryStorage _temporary = new(StorageProvider.Postgres);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose() => _temporary.Dispose();

    [Fact]
    public async Task Run_DeadlockOfTwoTransactions_BothSucceed()
    {
        var storage = _temporary.Open();
        await ExecuteAsync(storage, "CREATE TABLE pair (id INT PRIMARY KEY, times INT NOT NULL); INSERT INTO pair VALUES (1, 0), (2, 0)");
        using var first = new SemaphoreSlim(0);
        using var second = new SemaphoreSlim(0);
        var tries = 0;
        await Task.WhenAll(ChangeAsync(1, 2, first, second), ChangeAsync(2, 1, second, first));
        Assert.True(tries > 2, "There was no deadlock to come out of.");
        await using var connection = await storage.OpenAsync(Cancel);
        await using var sum = connection.CreateCommand();
        sum.CommandText = "SELECT SUM(times)::int FROM pair";
        Assert.Equal(4, await sum.ExecuteScalarAsync(Cancel));

        async Task ChangeAsync(int one, int other, SemaphoreSlim mine, SemaphoreSlim theirs)
        {
            var met = false;
            await StorageRetry.RunAsync(async () =>
            {
                Interlocked.Increment(ref tries);
                await using var connection = await storage.OpenAsync(Cancel);
                await using var transaction = await storage.Sql.BeginWriteAsync(connection, Cancel);
                await AddAsync(one);
                mine.Release();
                if (!met) await theirs.WaitAsync(Cancel);
                met = true;
                await AddAsync(other);
                await transaction.CommitAsync(Cancel);

                async Task AddAsync(int id)
                {
                    await using var command = connection.CreateCommand();
                    command.Transaction = transaction;
                    command.CommandText = "UPDATE pair SET times = times + 1 WHERE id = @id";
                    var parameter = command.CreateParameter();
                    (parameter.ParameterName, parameter.Value) = ("@id", id);
                    command.Parameters.Add(parameter);
                    await command.ExecuteNonQueryAsync(Cancel);
                }
            });
        }
    }

    [Fact]
    public async Task Run_NonTransientError_IsNotRetried()
    {
        var tries = 0;
        await Assert.ThrowsAsync<PostgresException>(() => StorageRetry.RunAsync<int>(() =>
        {
            tries++;
            throw new PostgresException("x", "ERROR", "ERROR", PostgresErrorCodes.UniqueViolation);
        }));
        Assert.Equal(1, tries);
    }

    [Fact]
    public async Task RunUntilKnown_ConnectionLostAtCommit_RetriesAndFlagsRepeat()
    {
        var repeats = new List<bool>();
        Assert.Equal(2, await StorageRetry.RunUntilKnownAsync(
            attempt =>
            {
                repeats.Add(attempt.IsRepeat);
                attempt.Sending();
                return repeats.Count == 1 ? throw new NpgsqlException("Exception while reading from stream") : Task.FromResult(repeats.Count);
            },
            TimeProvider.System));
        Assert.Equal([false, true], repeats);
    }

    [Fact]
    public async Task RunUntilKnown_RowInsertedByOther_ThrowsUniqueViolation()
    {
        var tries = 0;
        var fault = await Assert.ThrowsAsync<PostgresException>(() => StorageRetry.RunUntilKnownAsync<int>(
            attempt =>
            {
                attempt.Sending();
                throw ++tries == 1 ? new NpgsqlException("Exception while reading from stream") : new PostgresException("x", "ERROR", "ERROR", PostgresErrorCodes.UniqueViolation);
            },
            TimeProvider.System));
        Assert.Equal((PostgresErrorCodes.UniqueViolation, 2), (fault.SqlState, tries));
    }

    [Fact]
    public async Task RunUntilKnown_ConnectionLostBeforeCommit_IsNotRetried()
    {
        var tries = 0;
        await Assert.ThrowsAsync<NpgsqlException>(() => StorageRetry.RunUntilKnownAsync<int>(
            _ =>
            {
                tries++;
                throw new NpgsqlException("Exception while reading from stream");
            },
            TimeProvider.System));
        Assert.Equal(1, tries);
    }

    private static async Task ExecuteAsync(IStorage storage, string sql)
    {
        await using var connection = await storage.OpenAsync(Cancel);
        await using var command = connection.CreateCommand();
#pragma warning disable CA2100 // Of this test.
        command.CommandText = sql;
#pragma warning restore CA2100
        await command.ExecuteNonQueryAsync(Cancel);
    }
}
