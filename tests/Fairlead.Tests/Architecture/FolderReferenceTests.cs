using System.Text.RegularExpressions;
using Fairlead.Tests.Common;
using NetArchTest.Rules;

namespace Fairlead.Tests.Architecture;

/// <summary>
/// The folders of src/Fairlead refer to each other only as docs/architecture.md allows. This test reads the table there as the rule. An
/// allowed reference that no code needs is an error too, so the table stays accurate.
/// </summary>
public sealed partial class FolderReferenceTests
{
    private const string Root = "Fairlead";

    private static readonly IReadOnlyDictionary<string, string[]> Allowed = ReadTable();

    // Read once: reading the assembly takes longer than all questions to it.
    private static readonly Types Library = Types.InAssembly(typeof(FairleadBuilder).Assembly);

    public static TheoryData<string> Folders => [.. Allowed.Keys];

    [Fact]
    public void FolderTable_ListsEveryFolder()
    {
        var folders = Library.GetTypes().Select(type => FolderOf(type.Namespace)).OfType<string>().Distinct().Order(StringComparer.Ordinal);
        Assert.Equal(folders, Allowed.Keys.Order(StringComparer.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public void FolderReferences_EveryFolder_MatchArchitectureTable(string folder)
    {
        var needed = new List<string>();
        var forbidden = new List<string>();
        foreach (var other in Allowed.Keys.Where(other => other != folder))
        {
            var users = Library.That().ResideInNamespaceMatching($@"^{Root}\.{folder}(\.|$)").And().HaveDependencyOn($"{Root}.{other}").GetTypes()
                .Select(type => type.Name).Where(name => !name.EndsWith("ServiceCollectionExtensions", StringComparison.Ordinal)).ToList();
            if (users.Count == 0) continue;
            needed.Add(other);
            if (!Allowed[folder].Contains(other)) forbidden.Add($"{other} (by {string.Join(", ", users.Take(5))})");
        }
        Assert.True(forbidden.Count == 0, $"{folder}/ refers to {string.Join("; ", forbidden)}. Move the type, or allow the reference in docs/architecture.md.");
        var unused = Allowed[folder].Except(needed).ToList();
        Assert.True(unused.Count == 0, $"docs/architecture.md allows {folder}/ to refer to {string.Join(", ", unused)}, which it does not.");
    }

    /// <summary>What every slice builds on knows no slice, and has an order.</summary>
    [Fact]
    public void BaseFolders_References_StayWithinBaseWithoutCycles()
    {
        string[] known = [];
        string[] open = ["Configuration", "Conversation", "Errors", "Memory", "Security", "Storage", "Streaming"];
        while (open.Length > 0)
        {
            var next = open.Where(folder => Allowed[folder].All(known.Contains)).ToArray();
            Assert.True(next.Length > 0, $"In a cycle, or refers to a slice: {string.Join(", ", open)}.");
            (known, open) = ([.. known, .. next], [.. open.Except(next)]);
        }
    }

    private static string? FolderOf(string? name) => name is not null && name.StartsWith(Root + ".", StringComparison.Ordinal) ? name.Split('.')[1] : null;

    // Rows such as: | `Limits/` | `Catalogue/`, `Errors/` |
    private static Dictionary<string, string[]> ReadTable()
    {
        var text = File.ReadAllText(Repository.PathOf("docs", "architecture.md"));
        var section = text[text.IndexOf("## Which folder may refer to which", StringComparison.Ordinal)..];
        var table = new Dictionary<string, string[]>(StringComparer.Ordinal);
        foreach (Match row in Row().Matches(section)) table.Add(row.Groups[1].Value, [.. Name().Matches(row.Groups[2].Value).Select(name => name.Groups[1].Value)]);
        return table;
    }

    [GeneratedRegex(@"^\| `(\w+)/` \|([^|]*)\|", RegexOptions.Multiline)]
    private static partial Regex Row();

    [GeneratedRegex(@"`(\w+)/`")]
    private static partial Regex Name();
}
