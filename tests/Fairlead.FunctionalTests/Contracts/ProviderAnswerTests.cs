using System.Text;
using System.Text.Json.Nodes;
using Fairlead.FunctionalTests.Common;
using Fairlead.FunctionalTests.Fidelity;

namespace Fairlead.FunctionalTests.Contracts;

/// <summary>
/// All responses that a provider of any kind can return: text, tools, parallel tools, structured output, several choices, logprobs,
/// reasoning, refusals, failures in the middle. Each client gets them native and translated. Each body and each event is checked against a
/// schema.
/// </summary>
public sealed class ProviderAnswerTests(TranslationFixture fixture) : IClassFixture<TranslationFixture>
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<string, string, string, string> Cases => ResponseTranslationTests.CasesWhere(static (client, _) => client is not ("responses" or "v2"));

    /// <summary>The published description is of OpenAI's dialects, and has no chunk of text completions.</summary>
    public static TheoryData<string, string, string, string> Described =>
        ResponseTranslationTests.CasesWhere(static (client, delivery) => client == "chat" || (client == "completions" && delivery != "stream"));

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Response_AnyProvider_MatchesSchema(string row, string upstream, string client, string delivery)
    {
        var (status, body, stream) = await AskAsync(row, upstream, client, delivery == "stream");
        Assert.Empty(stream is null ? LiveAnswers.Whole(client, status, body) : LiveAnswers.Stream(client, stream, includeUsage: row == "usage"));
    }

    [Theory]
    [MemberData(nameof(Described))]
    public async Task Response_AnyProvider_MatchesPublishedSchema(string row, string upstream, string client, string delivery)
    {
        PublishedSchemas.SkipWhereAbsent();
        var (status, body, stream) = await AskAsync(row, upstream, client, delivery == "stream");
        if (stream is null)
        {
            Assert.Empty(PublishedSchemas.Faults(status != 200 ? "ErrorResponse" : client == "chat" ? "CreateChatCompletionResponse" : "CreateCompletionResponse", JsonNode.Parse(body)));
            return;
        }
        foreach (var seen in stream.Events.Where(seen => seen.Data != "[DONE]"))
        {
            var data = JsonNode.Parse(seen.Data)!;
            Assert.Empty(PublishedSchemas.Faults(data.AsObject().ContainsKey("error") ? "ErrorResponse" : "CreateChatCompletionStreamResponse", data));
        }
    }

    private async Task<(int Status, string Body, SeenStream? Stream)> AskAsync(string row, string upstream, string client, bool streams)
    {
        fixture.Serve(row, upstream);
        using var request = new HttpRequestMessage(HttpMethod.Post, ClientRequests.Path(client))
        {
            Content = new StringContent(ClientRequests.Body(row, upstream, client, streams), Encoding.UTF8, "application/json"),
        };
        using var response = await fixture.Gateway.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Token);
        if (streams && response.IsSuccessStatusCode) return (200, "", await SeenStream.ReadAsync(response, Token));
        return ((int)response.StatusCode, await response.Content.ReadAsStringAsync(Token), null);
    }
}
