using System.Runtime.CompilerServices;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Fairlead.Tests.Common;

/// <summary>
/// Compares a text with a golden file. Run the tests with <c>FAIRLEAD_UPDATE_GOLDEN=1</c> to write the files, then review the difference before you
/// commit it.
/// </summary>
internal static class GoldenFile
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Reads a file in the folder <c>Golden</c> beside the test.</summary>
    public static string Read(string name, [CallerFilePath] string test = "") => File.ReadAllText(PathOf(name, test));

    /// <summary>Compares a text with a file in the folder <c>Golden</c> beside the test.</summary>
    public static void Matches(string name, string actual, [CallerFilePath] string test = "") => MatchesAt(PathOf(name, test), actual);

    /// <summary>Compares JSON, indented, with a file in the folder <c>Golden</c> beside the test.</summary>
    public static void MatchesJson(string name, string json, [CallerFilePath] string test = "") =>
        MatchesAt(PathOf(name, test), JsonNode.Parse(json)!.ToJsonString(Indented) + "\n");

    /// <summary>Compares a text with the file at a path.</summary>
    public static void MatchesAt(string path, string actual)
    {
        if (Environment.GetEnvironmentVariable("FAIRLEAD_UPDATE_GOLDEN") == "1")
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllText(path, actual);
        }
        Assert.Equal(File.ReadAllText(path), actual);
    }

    private static string PathOf(string name, string test) => Path.Combine(Path.GetDirectoryName(test)!, "Golden", name);
}
