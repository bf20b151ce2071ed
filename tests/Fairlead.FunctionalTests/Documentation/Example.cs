using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Fairlead.Server.Documentation;
using Fairlead.Tests.Common;

namespace Fairlead.FunctionalTests.Documentation;

/// <summary>
/// One example of the documentation. Behind the language of its fence may stand, unseen by readers: <c>not-run: reason</c>,
/// <c>status=429</c> (curl gets this status) or <c>breaks</c> (its last transfer is cut off). In the OpenAPI document <c>x-status</c> says the same.
/// </summary>
/// <param name="Place">File and line, or operation and label.</param>
/// <param name="Language">sh, csharp, ts or python.</param>
/// <param name="Remarks">The text after the language.</param>
internal sealed partial record Example(string Place, string Language, string Text, string Remarks)
{
    /// <summary>The address that the documentation writes; a test puts that of its server in its place.</summary>
    public const string Address = "http://127.0.0.1:8080";

    private static readonly Lazy<IReadOnlyList<Example>> Found = new(() => [.. FromPages(), .. FromOpenApi()]);

    public static IReadOnlyList<Example> All => Found.Value;

    public static TheoryData<string> Of(string language) => [.. All.Where(e => e.Language == language && e.Runs).Select(e => e.Place)];

    public static Example At(string place) => All.Single(e => e.Place == place);

    /// <summary>Shell blocks without curl start programs and set variables; those are for readers.</summary>
    public bool Runs => !Remarks.StartsWith("not-run", StringComparison.Ordinal) && (Language != "sh" || Text.Contains("curl ", StringComparison.Ordinal));

    public int? Status => StatusRemark().Match(Remarks) is { Success: true } match ? int.Parse(match.Groups[1].Value, null) : null;

    public bool Breaks => Remarks.Split(' ').Contains("breaks");

    public static string Root => Repository.Root;

    private static IEnumerable<Example> FromPages()
    {
        foreach (var file in (string[])["README.md", .. Directory.GetFiles(Path.Combine(Root, "docs"), "*.md").Order(StringComparer.Ordinal).Select(f => Path.GetRelativePath(Root, f))])
        {
            var lines = File.ReadAllLines(Path.Combine(Root, file));
            for (var i = 0; i < lines.Length; i++)
            {
                if (Fence().Match(lines[i]) is not { Success: true } fence) continue;
                var begin = i + 1;
                for (i = begin; i < lines.Length && lines[i].Trim() != "```";) i++;
                yield return new Example($"{file.Replace('\\', '/')}:{begin}", Name(fence.Groups[1].Value), string.Join('\n', lines[begin..i]) + "\n", fence.Groups[2].Value.Trim());
            }
        }
    }

    private static IEnumerable<Example> FromOpenApi()
    {
        foreach (var (path, methods) in OpenApiDocument.Build()["paths"]!.AsObject())
        {
            foreach (var (method, operation) in methods!.AsObject())
            {
                foreach (var sample in operation!["x-codeSamples"] as JsonArray ?? [])
                {
                    var status = sample!["x-status"] is { } stated ? $"status={stated}" : "";
                    yield return new Example($"{method} {path}, {sample["label"]}", Name(sample["lang"]!.GetValue<string>()), sample["source"]!.GetValue<string>(), status);
                }
            }
        }
    }

    private static string Name(string language) => language switch
    {
        "bash" or "Shell" => "sh",
        "CSharp" => "csharp",
        "TypeScript" or "typescript" => "ts",
        "Python" => "python",
        _ => language,
    };

    [GeneratedRegex(@"^```(\w+)(.*)$")]
    private static partial Regex Fence();

    [GeneratedRegex(@"\bstatus=(\d{3})\b")]
    private static partial Regex StatusRemark();
}
