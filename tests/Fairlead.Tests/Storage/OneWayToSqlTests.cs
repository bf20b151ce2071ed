using System.Text.RegularExpressions;

namespace Fairlead.Tests.Storage;

/// <summary>Code outside <c>Storage/</c> runs SQL through <c>SqlExtensions</c> and reads columns by name.</summary>
public sealed partial class OneWayToSqlTests
{
    /// <summary>Files that use the drivers directly, with the reason.</summary>
    private static readonly Dictionary<string, string> Exceptions = new()
    {
        ["src/Fairlead/Auditing/Ledger/SqliteStatement.cs"] = "Binds UTF-8 bytes without strings: the bulk insert of the ledger.",
        ["src/Fairlead/Auditing/Ledger/PostgresLedgerWriter.cs"] = "Sends whole columns as arrays in one batch: the bulk insert of the ledger.",
    };

    [Fact]
    public void Sources_OutsideStorage_UseNoDriverCommands()
    {
        var root = Root();
        var found = new Dictionary<string, string>();
        foreach (var path in Directory.EnumerateFiles(Path.Combine(root, "src"), "*.cs", SearchOption.AllDirectories))
        {
            var name = Path.GetRelativePath(root, path).Replace('\\', '/');
            if (name.StartsWith("src/Fairlead/Storage/", StringComparison.Ordinal) || name.Contains("/obj/") || name.Contains("/bin/")) continue;
            if (Driver().Match(File.ReadAllText(path)) is { Success: true } match) found[name] = match.Value;
        }
        Assert.Equal([], found.Where(file => !Exceptions.ContainsKey(file.Key)).Select(file => $"{file.Key}: {file.Value}"));
        // An exception that is no longer needed leaves the list.
        Assert.Equal([], Exceptions.Keys.Where(name => !found.ContainsKey(name)));
    }

    [Theory]
    [InlineData("await using var command = connection.CreateCommand();")]
    [InlineData("private static void Fill(DbCommand command)")]
    [InlineData("Id = reader.GetString(0),")]
    [InlineData("Hash = row.GetFieldValue<byte[]>(6),")]
    [InlineData("await command.ExecuteNonQueryAsync(cancellationToken);")]
    [InlineData("using var batch = new NpgsqlBatch(connection);")]
    [InlineData("raw.sqlite3_step(_statement);")]
    public void Pattern_DriverCode_Matches(string code) => Assert.Matches(Driver(), code);

    [Theory]
    [InlineData("await connection.ExecuteAsync(sql, [], cancellationToken);")]
    [InlineData("Id = row.Text(\"id\"),")]
    [InlineData("Encoding.UTF8.GetString(bytes)")]
    public void Pattern_OtherCode_DoesNotMatch(string code) => Assert.DoesNotMatch(Driver(), code);

    private static string Root()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "Fairlead.slnx")))
            folder = folder.Parent ?? throw new InvalidOperationException("The tests do not run inside the repository.");
        return folder.FullName;
    }

    [GeneratedRegex(
        @"\bCreateCommand\b|\b(Db|Sqlite|Npgsql)(Command|DataReader|Batch)\w*|\bExecute(Reader|NonQuery|Scalar)(Async)?\b|\braw\.sqlite3_\w+"
        + @"|\.(Get(String|Int16|Int32|Int64|Boolean|Double|Decimal|DateTime|Value|Stream|Bytes|FieldValue(<[^(]*>)?)|IsDBNull)\(\s*[0-9]",
        RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Driver();
}
