using System.Runtime.CompilerServices;

namespace Fairlead.Tests.Dialects;

/// <summary>Compares a text with a file beside the test. Run with <c>UPDATE_GOLDEN=1</c> to write the files anew, then read the difference.</summary>
internal static class GoldenFile
{
    public static void Matches(string name, string actual, [CallerFilePath] string test = "")
    {
        var path = Path.Combine(Path.GetDirectoryName(test)!, "Golden", name);
        if (Environment.GetEnvironmentVariable("UPDATE_GOLDEN") == "1")
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllText(path, actual);
        }
        Assert.Equal(File.ReadAllText(path), actual);
    }
}
