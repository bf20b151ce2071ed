using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Providers.Quirks;

namespace Fairlead.FunctionalTests.Quirks;

/// <summary>Every row of <see cref="ResponseQuirks"/> against a server that has the quirk, for every client dialect, whole and streamed.</summary>
public sealed class ResponseQuirkTests(QuirkWorld world) : IClassFixture<QuirkWorld>
{
    private const string Row = nameof(ResponseQuirkTests) + "." + nameof(Response_WithQuirk_IsHandledAsListed);

    public static TheoryData<string> Ids => [.. ResponseQuirks.All.Where(q => q.Test == Row).Select(q => q.Id)];

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [MemberData(nameof(Ids))]
    public async Task Response_WithQuirk_IsHandledAsListed(string id)
    {
        var scenarios = QuirkScenario.All.Where(s => s.Id == id).ToList();
        Assert.NotEmpty(scenarios);
        var fails = ResponseQuirks.All.Single(q => q.Id == id).Treatment == QuirkTreatment.FailedAttempt;
        var wrong = new List<string>();
        foreach (var scenario in scenarios)
        {
            var number = scenarios.IndexOf(scenario);
            if (id != "stream-for-whole") Assert.Equal(fails, scenario.Finish == "failed");
            foreach (var dialect in scenario.Upstream == "responses" ? ["responses"] : QuirkWorld.Dialects)
            {
                if (scenario.Choices > 1 && dialect != "chat") continue;
                foreach (var stream in (bool[])[false, true])
                {
                    if ((stream ? scenario.Streamed : scenario.Whole) is not { } reply) continue;
                    var place = $"{scenario.Upstream} {number} → {dialect} {(stream ? "streamed" : "whole")}";
                    world.Upstream.Answer = reply.SendAsync;
                    try
                    {
                        Check(scenario, await world.AskAsync(scenario.Upstream, dialect, stream, scenario.Choices, Cancel), place, wrong);
                    }
                    catch (Exception exception) when (exception is not OperationCanceledException)
                    {
                        wrong.Add($"{place}: {exception.Message}");
                    }
                }
            }
        }
        Assert.True(wrong.Count == 0, string.Join("\n", wrong));
    }

    [Fact]
    public void Scenarios_All_BelongToListedQuirk() => Assert.All(QuirkScenario.All, scenario => Assert.Contains(ResponseQuirks.All, quirk => quirk.Id == scenario.Id));

    [Fact]
    public async Task Response_WithoutQuirk_IsUnchangedByteForByte()
    {
        const string Chunk = """{"id":"c-1","object":"chat.completion.chunk","created":1700000000,"model":"m","x": [1.50, "\u00e9"],"choices":[{"index":0,"delta":{"role":"assistant", "content":"Hi \u00e9"},"logprobs":null,"finish_reason":null}]}""";
        world.Upstream.Answer = QuirkReply.Events(Chunk, """{"id":"c-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}""", "[DONE]").SendAsync;
        var seen = await world.AskAsync("chat", "chat", stream: true, 1, Cancel);
        Assert.Contains(Chunk.Split("\"model\":\"m\"")[1][..^1], seen.Raw, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""[{"index":1,"embedding":[2]},{"index":0,"embedding":[1]}]""", "1,2")]
    [InlineData("""[{"index":0,"embedding":[1]},{"index":0,"embedding":[2]}]""", "1,2")]
    [InlineData("""[{"embedding":[1]},{"embedding":[2]}]""", "1,2")]
    [InlineData("""[{"index":"1","embedding":[2]},{"index":"0","embedding":[1]}]""", "1,2")]
    [InlineData("""[{"index":1.0,"embedding":[2]},{"embedding":[1]}]""", "1,2")]
    [InlineData("""[{"index":0,"embedding":"AACAPw=="},{"index":1,"embedding":"AAAAQA=="}]""", "1,2")]
    public async Task Embeddings_UnusualFormat_KeepInputOrder(string data, string expected)
    {
        var (status, body) = await EmbedAsync(data);
        Assert.Equal(200, status);
        var list = JsonDocument.Parse(body).RootElement.GetProperty("data").EnumerateArray().ToList();
        Assert.Equal([0, 1], list.Select(item => item.GetProperty("index").GetInt32()));
        Assert.Equal(expected, string.Join(',', list.Select(item => item.GetProperty("embedding")[0].GetDouble().ToString(System.Globalization.CultureInfo.InvariantCulture))));
    }

    [Theory]
    [InlineData("[]")]
    [InlineData("""[{"index":0,"embedding":[1]}]""")]
    [InlineData("""[{"index":0,"embedding":[1]},{"index":1,"embedding":[2]},{"index":2,"embedding":[3]}]""")]
    [InlineData("""[{"index":1,"embedding":[1]},{"index":1,"embedding":[2]}]""")]
    [InlineData("""[{"index":0,"embedding":[1]},{"index":1,"embedding":[]}]""")]
    [InlineData("null")]
    public async Task Embeddings_WrongCount_FailsAttempt(string data)
    {
        var (status, _) = await EmbedAsync(data);
        Assert.Equal(502, status);
    }

    private async Task<(int Status, string Body)> EmbedAsync(string data)
    {
        world.Upstream.Answer = context => FakeUpstream.Json(context, $$$"""{"object":"list","data":{{{data}}},"model":"e","usage":{"prompt_tokens":2,"total_tokens":2}}""");
        using var content = new StringContent("""{"model":"embed","input":["a","b"]}""", Encoding.UTF8, "application/json");
        using var response = await world.Gateway.Client.PostAsync(new Uri("/v1/embeddings", UriKind.Relative), content, Cancel);
        return ((int)response.StatusCode, await response.Content.ReadAsStringAsync(Cancel));
    }

    private static void Check(QuirkScenario scenario, QuirkSeen seen, string place, List<string> wrong)
    {
        if (seen.Finish != scenario.Finish) wrong.Add($"{place}: ended {seen.Finish} instead of {scenario.Finish}: {seen.Status} {seen.Raw}");
        if (seen.Text != scenario.Text) wrong.Add($"{place}: text '{seen.Text}' instead of '{scenario.Text}': {seen.Raw}");
        if (scenario.Reasoning.Length > 0 && seen.Reasoning != scenario.Reasoning) wrong.Add($"{place}: reasoning '{seen.Reasoning}' instead of '{scenario.Reasoning}'");
        if (!seen.Calls.SequenceEqual(scenario.Calls)) wrong.Add($"{place}: calls {string.Join("; ", seen.Calls)} instead of {string.Join("; ", scenario.Calls)}: {seen.Raw}");
        if (scenario.Warning is not null && !seen.Raw.Contains(scenario.Warning, StringComparison.Ordinal)) wrong.Add($"{place}: no warning with '{scenario.Warning}': {seen.Raw}");
        if (seen.Raw.Contains("sk-secret", StringComparison.Ordinal)) wrong.Add($"{place}: a secret came through: {seen.Raw}");
        if (seen.Status >= 500 && scenario.Finish != "failed") wrong.Add($"{place}: status {seen.Status}");
    }
}
