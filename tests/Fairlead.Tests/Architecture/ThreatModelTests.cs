using System.Text.RegularExpressions;
using Fairlead.Tests.Common;

namespace Fairlead.Tests.Architecture;

/// <summary>The threat model names the tests that show what it says: they must exist.</summary>
public sealed partial class ThreatModelTests
{
    private static readonly string[] Rows = [.. File.ReadAllLines(Repository.PathOf("docs", "security.md"))
        .SkipWhile(line => line != "## Threats").Skip(1).TakeWhile(line => !line.StartsWith("## ", StringComparison.Ordinal))
        .Where(line => line.StartsWith('|')).Skip(2)];

    [Fact]
    public void Rows_OfTheThreatModel_AreCompleteAndNameTests()
    {
        Assert.True(Rows.Length >= 20, $"Only {Rows.Length} rows were found.");
        Assert.All(Rows, row =>
        {
            var cells = row.Trim('|').Split('|');
            Assert.Equal(4, cells.Length);
            Assert.All(cells, cell => Assert.False(string.IsNullOrWhiteSpace(cell)));
            Assert.Matches(Named(), cells[3]);
        });
    }

    [Fact]
    public void Tests_OfTheThreatModel_Exist()
    {
        var sources = Directory.GetFiles(Repository.PathOf("tests"), "*Tests.cs", SearchOption.AllDirectories).Select(File.ReadAllText).ToArray();
        var missing = Rows.SelectMany(row => Named().Matches(row[row.LastIndexOf('|', row.Length - 2)..])).Select(match => match.Value.Trim('`')).Distinct()
            .Where(name => name.Split('.') is var parts && !sources.Any(source => IsIn(source, parts[0], parts[1])));
        Assert.Empty(missing);
    }

    // A fact or theory of this name in a file with this class.
    private static bool IsIn(string source, string type, string method) =>
        source.Contains($"class {type}", StringComparison.Ordinal)
        && Regex.IsMatch(source, $@"\[(Fact|Theory)[^\n]*\](\s*\[[^\n]*\])*\s*(public|internal) (async )?(Task|void|ValueTask) {method}\(");

    [GeneratedRegex(@"`[A-Z]\w+Tests\.\w+`")]
    private static partial Regex Named();
}
