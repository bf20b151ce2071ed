using System.Text;
using Fairlead.FunctionalTests.Common;
using Fairlead.Tests.Common;

namespace Fairlead.FunctionalTests.Fidelity;

/// <summary>
/// The translation of responses, row by row: the response of a provider (<c>Golden/Responses/ROW/UPSTREAM.response.json</c> or <c>.events.txt</c>, one event a line) and what
/// a client of each dialect gets from the running gateway.
/// </summary>
public sealed class ResponseTranslationTests(TranslationFixture fixture) : IClassFixture<TranslationFixture>
{
    private static readonly string[] Clients = ["chat", "messages", "completions", "responses", "v2"];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<string, string, string, string> Cases => CasesWhere(static (_, _) => true);

    /// <summary>The cases of some clients and deliveries only.</summary>
    internal static TheoryData<string, string, string, string> CasesWhere(Func<string, string, bool> takes)
    {
        var cases = new TheoryData<string, string, string, string>();
        foreach (var row in Rows())
        {
            foreach (var (upstream, delivery) in Upstreams(row))
            {
                foreach (var client in Clients.Where(client => ClientRequests.CanAsk(row, upstream, client) && takes(client, delivery))) cases.Add(row, upstream, client, delivery);
            }
        }
        return cases;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Response_TranslatedForClient_MatchesGoldenFile(string row, string upstream, string client, string delivery)
    {
        var streams = delivery == "stream";
        fixture.Serve(row, upstream);
        using var request = new HttpRequestMessage(HttpMethod.Post, ClientRequests.Path(client))
        {
            Content = new StringContent(ClientRequests.Body(row, upstream, client, streams), Encoding.UTF8, "application/json"),
        };
        // The gateway aborts a stream that ends in an error, so do not wait for the body here.
        using var response = await fixture.Gateway.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Token);
        var actual = streams && response.IsSuccessStatusCode ? ResponseText.Of(await SeenStream.ReadAsync(response, Token)) : ResponseText.Of(await response.Content.ReadAsStringAsync(Token));
        Assert.DoesNotContain("secret-host", actual, StringComparison.Ordinal);
        var path = Path.Combine(TranslationFixture.Folder, row, $"{upstream}-to-{client}.{delivery}.golden");
        var text = $"{(int)response.StatusCode}\n{actual}";
        GoldenFile.MatchesAt(path, text);
    }

    /// <summary>The rows about responses in the mapping between OpenAI chat and Anthropic, each with the folders that show it.</summary>
    [Theory]
    [InlineData("finish_reason", "finish-stop", "finish-stop-sequence", "finish-pause-turn", "finish-length", "finish-context-window", "tool-calls", "finish-content-filter")]
    [InlineData("usage.prompt_tokens", "usage")]
    [InlineData("completion_tokens, reasoning_tokens", "usage", "reasoning")]
    [InlineData("delta.content, tool_calls[i], thinking", "finish-stop", "tool-calls", "reasoning")]
    [InlineData("errors", "error")]
    public void ResponseMapping_EachRow_HasGoldenFilesForBothDirections(string row, params string[] folders)
    {
        Assert.NotEmpty(row);
        foreach (var folder in folders)
        {
            foreach (var delivery in folder == "error" ? ["stream"] : new[] { "sync", "stream" })
            {
                Assert.True(File.Exists(Path.Combine(TranslationFixture.Folder, folder, $"anthropic-to-chat.{delivery}.golden")), $"{folder} {delivery}");
                // OpenAI has no such reasons.
                if (folder is "finish-pause-turn" or "finish-context-window") continue;
                Assert.True(File.Exists(Path.Combine(TranslationFixture.Folder, folder, $"openai-to-messages.{delivery}.golden")), $"{folder} {delivery}");
            }
        }
    }

    [Fact]
    public void GoldenFiles_All_BelongToTestCase()
    {
        var expected = Cases.Select(c => c.Data).Select(c => $"{c.Item1}/{c.Item2}-to-{c.Item3}.{c.Item4}.golden").ToHashSet();
        var found = Rows().SelectMany(row => Directory.GetFiles(Path.Combine(TranslationFixture.Folder, row), "*.golden").Select(file => $"{row}/{Path.GetFileName(file)}"));
        Assert.Equal(expected.Order(StringComparer.Ordinal), found.Order(StringComparer.Ordinal));
    }

    private static IEnumerable<string> Rows() => Directory.GetDirectories(TranslationFixture.Folder).Select(folder => Path.GetFileName(folder)!).Order(StringComparer.Ordinal);

    private static IEnumerable<(string Upstream, string Delivery)> Upstreams(string row)
    {
        foreach (var file in Directory.GetFiles(Path.Combine(TranslationFixture.Folder, row)).Select(file => Path.GetFileName(file)).Order(StringComparer.Ordinal))
        {
            if (file.EndsWith(".response.json", StringComparison.Ordinal)) yield return (file[..file.IndexOf('.', StringComparison.Ordinal)], "sync");
            if (file.EndsWith(".events.txt", StringComparison.Ordinal)) yield return (file[..file.IndexOf('.', StringComparison.Ordinal)], "stream");
        }
        foreach (var delivery in ScriptedChatClient.Rows.Contains(row) ? (row == "error" ? ["stream"] : new[] { "sync", "stream" }) : []) yield return ("chatclient", delivery);
    }
}
