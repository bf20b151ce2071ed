using System.Diagnostics;
using System.Text;
using System.Text.RegularExpressions;
using Fairlead.FunctionalTests.Common;
using Fairlead.Tests.Common;

namespace Fairlead.FunctionalTests.Clients;

/// <summary>
/// The official npm clients against a running gateway. Each file under <c>node/</c> is run by Node's own test runner, on the Node.js that the npm package <c>node</c> brings.
/// </summary>
public sealed partial class NodeClientTests(GatewayFixture fixture) : IClassFixture<GatewayFixture>
{
    public static TheoryData<string> Files => new(TestFiles);

    internal static IEnumerable<string> TestFiles => Directory.GetFiles(Folder, "*.test.mjs").Select(file => Path.GetFileName(file));

    [Theory]
    [MemberData(nameof(Files))]
    public Task NodeClient_AgainstGateway_Works(string file) => RunAsync(fixture.Gateway, file);

    /// <summary>Runs one file against <paramref name="gateway"/>.</summary>
    internal static async Task RunAsync(TestGateway gateway, string file)
    {
        var node = Path.Combine(Folder, "node_modules", ".bin", "node");
        Assert.True(File.Exists(node), "The npm clients are not installed: run ./test.sh, or `npm ci` in tests/Fairlead.FunctionalTests/Clients/node.");
        var (narrow, _) = await gateway.MakeKeyAsync("\"scopes\":[\"models:read\"]");
        var start = new ProcessStartInfo(node, ["--test", "--test-timeout=60000", "--test-reporter=spec", file])
        {
            WorkingDirectory = Folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardOutputEncoding = Encoding.UTF8,
        };
        start.Environment["FAIRLEAD_URL"] = gateway.Url;
        start.Environment["FAIRLEAD_KEY"] = gateway.Key;
        start.Environment["FAIRLEAD_NARROW_KEY"] = narrow;
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        var errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(process.ExitCode == 0, $"{file}:\n{await output}\n{await errors}");
        // The table is held against what ran and passed, not against what the files say.
        var shown = Passed().Matches(await output).Select(match => match.Groups[1].Value).Order(StringComparer.Ordinal);
        var wanted = ClientTable.Rows.Where(row => row.File == file).SelectMany(row => row.Features.Select(feature => $"{row.Name} | {feature}"));
        Assert.Equal(wanted.Order(StringComparer.Ordinal), shown);
    }

    [GeneratedRegex(@"^\s*✔ (.+ \| .+) \([0-9.]+ms\)\s*$", RegexOptions.Multiline)]
    private static partial Regex Passed();

    // The scripts stay where they are in the source tree, beside their node_modules.
    private static string Folder { get; } = Repository.PathOf("tests", "Fairlead.FunctionalTests", "Clients", "node");
}
