using Fairlead.Storage;

namespace Fairlead.Tests.Storage;

public sealed class SqliteSqlExtensionsTests() : SqlExtensionsTests(StorageProvider.Sqlite);

public sealed class PostgresSqlExtensionsTests() : SqlExtensionsTests(StorageProvider.Postgres);

public abstract class SqlExtensionsTests : IDisposable
{
    private static readonly DateTimeOffset At = DateTimeOffset.FromUnixTimeMilliseconds(1_800_000_000_123);

    private readonly TemporaryStorage _temporary;

    private protected SqlExtensionsTests(StorageProvider provider) => _temporary = new TemporaryStorage(provider);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Query_EveryValueType_RoundTrips()
    {
        await using var connection = await OpenAsync();
        (string, SqlValue)[] values = [("@t", "té"), ("@n", long.MaxValue), ("@f", true), ("@at", At.AddTicks(5)), ("@b", new byte[] { 0, 255 })];
        Assert.Equal(1, await connection.ExecuteAsync("INSERT INTO samples (t, n, f, at, b) VALUES (@t, @n, @f, @at, @b)", values, Cancellation));

        var row = Assert.Single(await connection.QueryAsync(
            "SELECT b, at, f, n, t FROM samples", [], row => (row.Text("t"), row.Int64("n"), row.Bool("f"), row.Time("at"), row.Bytes("b")), Cancellation));
        Assert.Equal(("té", long.MaxValue, true, At), (row.Item1, row.Item2, row.Item3, row.Item4));
        Assert.Equal([0, 255], row.Item5);
        Assert.Equal(1_800_000_000_123, await connection.Int64Async("SELECT at FROM samples", [], Cancellation));
        Assert.Equal(1, await connection.Int64Async("SELECT f FROM samples", [], Cancellation));
    }

    [Fact]
    public async Task Query_NullOfEveryType_ReturnsNull()
    {
        await using var connection = await OpenAsync();
        (string, SqlValue)[] values = [("@t", (string?)null), ("@n", (int?)null), ("@at", (DateTimeOffset?)null), ("@b", (byte[]?)null)];
        // Compared with a null, PostgreSQL must know the type of the value.
        await connection.ExecuteAsync("INSERT INTO samples (t, n, f, at, b) SELECT @t, @n, 0, @at, @b WHERE @t IS NULL AND @n IS NULL", values, Cancellation);

        var row = await connection.FirstOrDefaultAsync(
            "SELECT * FROM samples", [],
            row => (row.TextOrNull("t"), row.Int64OrNull("n"), row.Int32OrNull("n"), row.TimeOrNull("at"), row.BytesOrNull("b"), row.IsNull("t")), Cancellation);
        Assert.Equal((null, null, null, null, null, true), row);
        Assert.Null(await connection.TextAsync("SELECT t FROM samples", [], Cancellation));
        Assert.Null(await connection.Int64Async("SELECT n FROM samples", [], Cancellation));
        Assert.Null(await connection.BytesAsync("SELECT b FROM samples", [], Cancellation));
    }

    [Fact]
    public async Task Query_NoRows_ReturnsNothing()
    {
        await using var connection = await OpenAsync();
        Assert.Empty(await connection.QueryAsync("SELECT t FROM samples", [], row => row.Text("t"), Cancellation));
        Assert.Null(await connection.FirstOrDefaultAsync("SELECT t FROM samples", [], row => row.Text("t"), Cancellation));
        Assert.Null(await connection.Int64Async("SELECT n FROM samples", [], Cancellation));
        Assert.Equal(0, await connection.ExecuteAsync("DELETE FROM samples", [], Cancellation));
    }

    [Fact]
    public async Task Execute_InTransaction_IsRolledBack()
    {
        var storage = _temporary.Open(new SamplesStep());
        await using var connection = await storage.OpenAsync(Cancellation);
        await using (await storage.Sql.BeginWriteAsync(connection, Cancellation))
        {
            await connection.ExecuteAsync("INSERT INTO samples (f) VALUES (1)", [], Cancellation);
            Assert.Equal(1, await connection.Int64Async("SELECT COUNT(*) FROM samples", [], Cancellation));
        }
        Assert.Equal(0, await connection.Int64Async("SELECT COUNT(*) FROM samples", [], Cancellation));
    }

    [Fact]
    public async Task Read_UnknownColumn_Throws()
    {
        await using var connection = await OpenAsync();
        var fault = await Record.ExceptionAsync(() => connection.FirstOrDefaultAsync("SELECT 1 AS one", [], row => row.Int64("two"), Cancellation));
        Assert.True(fault is ArgumentOutOfRangeException or IndexOutOfRangeException);
    }

    public void Dispose()
    {
        _temporary.Dispose();
        GC.SuppressFinalize(this);
    }

    private ValueTask<System.Data.Common.DbConnection> OpenAsync() => _temporary.Open(new SamplesStep()).OpenAsync(Cancellation);

    private sealed class SamplesStep : ISchemaStep
    {
        public int Version => 9001;

        public string Name => "samples";

        public string Sql(SqlFlavour sql) => $"CREATE TABLE samples (t {sql.Text} NULL, n BIGINT NULL, f BIGINT NOT NULL, at BIGINT NULL, b {sql.Bytes} NULL)";
    }
}
