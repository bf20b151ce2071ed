using Fairlead.Storage;

namespace Fairlead.Tests.Storage;

public sealed class PostgresConnectionStringTests
{
    [Theory]
    [InlineData("postgres://fair%40lead:p%40ss%2Fw%3Ard@db.example.com:6432/calls?sslmode=verify-full&application_name=node%201", "db.example.com", 6432, "fair@lead", "p@ss/w:rd", "calls")]
    [InlineData("postgresql://u:p@db/d", "db", 5432, "u", "p", "d")]
    [InlineData("postgres://u:p@[::1]:5433/d", "::1", 5433, "u", "p", "d")]
    [InlineData("Host=db;Port=5433;Username=u;Password=a;Database=d", "db", 5433, "u", "a", "d")]
    [InlineData("postgres://u@db", "db", 5432, "u", null, null)]
    public void Parse_UrlOrKeyValueFormat_ReturnsSameSettings(string text, string host, int port, string user, string? password, string? database)
    {
        var parsed = PostgresConnectionString.Parse(text);
        Assert.NotNull(parsed);
        Assert.Equal((host, port, user, password, database), (parsed.Host, parsed.Port, parsed.Username, parsed.Password, parsed.Database));
    }

    [Fact]
    public void Parse_OperatorSettings_OverrideDefaults()
    {
        var parsed = PostgresConnectionString.Parse("postgres://u:p@db/d?sslmode=verify-full&application_name=mine&connect_timeout=9&Maximum%20Pool%20Size=33");
        Assert.Equal((Npgsql.SslMode.VerifyFull, "mine", 9, 33), (parsed!.SslMode, parsed.ApplicationName, parsed.Timeout, parsed.MaxPoolSize));
        var silent = PostgresConnectionString.Parse("postgres://u:p@db/d");
        Assert.Equal(("fairlead", 5, 10, false), (silent!.ApplicationName, silent.Timeout, silent.MaxPoolSize, silent.PersistSecurityInfo));
    }

    [Theory]
    [InlineData("")]
    [InlineData("fairlead.db")]
    [InlineData("mysql://u:p@db/d")]
    [InlineData("postgres://")]
    [InlineData("postgres://u:p@db:port/d")]
    [InlineData("postgres://u:p@db/d?sslmode=sometimes")]
    [InlineData("postgres://u:p@db/d?colour=red")]
    [InlineData("postgres://u:p#ss@db/d")]
    [InlineData("Username=u;Password=p")]
    [InlineData("Host=db;Port=many")]
    [InlineData("Host=db;Port=99999999999")]
    [InlineData("Data Source=/tmp/x.db;Mode=ReadOnly")]
    public void Parse_NotAPostgresConnectionString_ReturnsNull(string text) => Assert.Null(PostgresConnectionString.Parse(text));
}
