using System.Text;
using System.Text.Json.Nodes;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Responses;

/// <summary>Checks live responses and every event of live streams against the published schemas of Open Responses.</summary>
public sealed class OpenResponsesTests(GatewayFixture fixture) : IClassFixture<GatewayFixture>
{
    private static readonly string[] Bodies =
    [
        """{"model":"sim-fast","input":"Hello"}""",
        """{"model":"sim-echo","input":[{"role":"user","content":"Hello"}],"instructions":"Be brief.","temperature":0.5,"top_logprobs":2,"include":["message.output_text.logprobs"],"metadata":{"a":"b"},"user":"u"}""",
        """{"model":"sim-tools","input":"Hello","tools":[{"type":"function","name":"f","parameters":{"type":"object"}}],"tool_choice":{"type":"function","name":"f"}}""",
        """{"model":"sim-echo","input":"one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty","max_output_tokens":16}""",
        """{"model":"sim-json","input":"Hello","text":{"format":{"type":"json_object"}}}""",
    ];

    public static TheoryData<int> Indices => [.. Enumerable.Range(0, Bodies.Length)];

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [MemberData(nameof(Indices))]
    public async Task Response_Live_MatchesSchema(int index)
    {
        Assert.SkipUnless(File.Exists(OpenResponsesSchema.Path), "The published schemas do not lie beside the repository.");
        using var content = new StringContent(Bodies[index], Encoding.UTF8, "application/json");
        using var response = await fixture.Gateway.Client.PostAsync(new Uri("/v1/responses", UriKind.Relative), content, Cancel);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.IsSuccessStatusCode, text);
        var faults = OpenResponsesSchema.Load().Faults("ResponseResource", JsonNode.Parse(text));
        Assert.True(faults.Count == 0, string.Join("\n", faults) + "\n" + text);
    }

    [Theory]
    [MemberData(nameof(Indices))]
    public async Task Stream_Live_HasOnlyListedEventsMatchingSchema(int index)
    {
        Assert.SkipUnless(File.Exists(OpenResponsesSchema.Path), "The published schemas do not lie beside the repository.");
        await CheckAsync(Bodies[index], null, Cancel);
    }

    [Fact]
    public async Task Stream_Breaks_HasOnlyListedEventsMatchingSchema()
    {
        Assert.SkipUnless(File.Exists(OpenResponsesSchema.Path), "The published schemas do not lie beside the repository.");
        var names = await CheckAsync("""{"model":"sim-fast","input":"Hello"}""", "cut_after=2", Cancel);
        Assert.Equal(["error", "response.failed"], names.TakeLast(2));
    }

    private async Task<List<string>> CheckAsync(string body, string? simulate, CancellationToken cancellationToken)
    {
        var schema = OpenResponsesSchema.Load();
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/responses") { Content = new StringContent(body.Insert(1, "\"stream\":true,"), Encoding.UTF8, "application/json") };
        if (simulate is not null) request.Headers.Add("Fairlead-Simulate", simulate);
        using var response = await fixture.Gateway.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
        var stream = await SeenStream.ReadAsync(response, cancellationToken);
        Assert.False(stream.Broken);
        Assert.Equal("[DONE]", stream.Events[^1].Data);
        foreach (var seen in stream.Events.SkipLast(1))
        {
            var name = schema.SchemaOf(seen.Name!);
            Assert.True(name is not null, $"{seen.Name} is not an event of Open Responses.");
            var faults = schema.Faults(name, JsonNode.Parse(seen.Data));
            Assert.True(faults.Count == 0, string.Join("\n", faults) + "\n" + seen.Data);
        }
        return [.. stream.Events.SkipLast(1).Select(seen => seen.Name!)];
    }
}
