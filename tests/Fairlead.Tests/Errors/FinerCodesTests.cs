using System.Text.RegularExpressions;
using Fairlead.Errors;
using Fairlead.Tests.Common;

namespace Fairlead.Tests.Errors;

public sealed partial class FinerCodesTests
{
    [Fact]
    public void Sources_OpenAiErrorCodes_AreAllListed()
    {
        var sent = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var file in Directory.EnumerateFiles(Repository.PathOf("src", "Fairlead"), "*.cs", SearchOption.AllDirectories))
        {
            foreach (Match match in Codes().Matches(File.ReadAllText(file))) sent.Add(match.Groups[1].Success ? match.Groups[1].Value : match.Groups[2].Value);
        }
        Assert.Contains("decimal_above_max_value", sent);
        Assert.Contains("websocket_connection_limit_reached", sent);
        // A field of a batch line, which appears where the pattern expects a code.
        sent.Remove("custom_id");
        Assert.DoesNotContain(sent, code => !FinerCodes.Contains(code));
    }

    [Fact]
    public void FinerCodes_EveryCode_MapsToKnownErrorCodes()
    {
        Assert.All(FinerCodes.Requests, code => Assert.All(code.Of.Split(", "), of => Assert.NotNull(ErrorCatalogue.Find(of))));
        Assert.All(FinerCodes.Requests.Concat(FinerCodes.Batches), code => Assert.Null(ErrorCatalogue.Find(code.Name)));
        Assert.Distinct(FinerCodes.Requests.Concat(FinerCodes.Responses).Concat(FinerCodes.Batches).Select(code => code.Name));
    }

    [GeneratedRegex("""OpenAiCode = "([a-z_]+)"|(?:RequestErrors\.Invalid|Invalid|Refuse|Fault|new BatchError)\([^;\n]*"([a-z]+(?:_[a-z]+)+)"\)(?:;| ?\))""")]
    private static partial Regex Codes();
}
