using System.Runtime.CompilerServices;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Fairlead.Tests.Providers;

/// <summary>
/// Compares JSON with a file under Golden/ beside the test. With FAIRLEAD_UPDATE_GOLDEN=1 the file is written instead, and the difference is reviewed before it is
/// committed.
/// </summary>
internal static class GoldenFile
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static string Read(string file, [CallerFilePath] string test = "") => File.ReadAllText(PathOf(file, test));

    public static void Matches(string file, string json, [CallerFilePath] string test = "")
    {
        var actual = JsonNode.Parse(json)!.ToJsonString(Indented) + "\n";
        var path = PathOf(file, test);
        if (Environment.GetEnvironmentVariable("FAIRLEAD_UPDATE_GOLDEN") == "1")
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllText(path, actual);
        }
        Assert.Equal(File.ReadAllText(path), actual);
    }

    private static string PathOf(string file, string test) => Path.Combine(Path.GetDirectoryName(test)!, "Golden", file);
}
