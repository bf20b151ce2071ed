using System.Net;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Rescue;

/// <summary>Streams of chat completions that are forwarded, and lost after content was sent.</summary>
public sealed class ChatRescueTests
{
    private const string Request = """{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi"}]}""";

    private static readonly string[] Sent =
    [
        Chunk("""{"role":"assistant","content":""}"""), Chunk("""{"content":"Grüße, "}"""), Chunk("""{"content":"Welt 😀 and"}"""),
    ];

    private static readonly string[] Whole =
    [
        .. new[]
        {
            Chunk("""{"role":"assistant","content":"Gr"}"""), Chunk("""{"content":"üße, Welt \ud83d\ude00"}"""), Chunk("""{"content":" and mo"}"""),
            Chunk("""{"content":"re."}"""), Chunk("{}", "stop"), UsageChunk(),
        }.Select(chunk => chunk.Replace("chatcmpl-up", "chatcmpl-two", StringComparison.Ordinal).Replace("1700000000", "1800000000", StringComparison.Ordinal)),
        "[DONE]",
    ];

    [Theory]
    [InlineData("end")]
    [InlineData("stall")]
    [InlineData("done")]
    [InlineData("error")]
    public async Task Stream_LostAfterContent_IsContinuedExactly(string fault)
    {
        await using var world = await RescueWorld.StartAsync();
        world.First.Answer = RescueWorld.Losing(fault, Sent);
        world.Second.Answer = RescueWorld.Serving(Whole);
        var seen = await world.StreamAsync("/v1/chat/completions", Request);
        Assert.False(seen.Broken, seen.Raw);
        Assert.Equal("[DONE]", seen.Events[^1].Data);
        var chunks = seen.Events.SkipLast(1).Select(one => one.Json).ToList();
        Assert.Equal("Grüße, Welt 😀 and more.", TextOf(chunks));
        Assert.Single(chunks.Select(chunk => chunk.GetProperty("id").GetString()).Distinct());
        Assert.Single(chunks.Select(chunk => chunk.GetProperty("created").GetInt64()).Distinct());
        Assert.Single(chunks, chunk => chunk.GetProperty("choices")[0].GetProperty("delta").TryGetProperty("role", out _));
        Assert.Single(chunks, chunk => chunk.GetProperty("choices")[0].GetProperty("finish_reason").ValueKind == JsonValueKind.String);
        Assert.Equal(Enumerable.Range(0, chunks.Count), chunks.Select(chunk => chunk.GetProperty("sequence_number").GetInt32()));
        Assert.Equal(3, chunks[^1].GetProperty("usage").GetProperty("completion_tokens").GetInt32());
        var last = chunks[^1].GetProperty("fairlead");
        Assert.Equal("complete", last.GetProperty("outcome").GetString());
        var attempts = last.GetProperty("attempts").EnumerateArray().ToList();
        Assert.Equal(["provider_lost", "complete"], attempts.Select(attempt => attempt.GetProperty("outcome").GetString()));
        Assert.Equal("rescue", attempts[1].GetProperty("reason").GetString());
        Assert.Equal(["stream_rescued"], CodesOf(last));
        Assert.True(attempts[0].GetProperty("cost_usd").GetDecimal() > 0);
        Assert.Equal(attempts.Sum(attempt => attempt.GetProperty("cost_usd").GetDecimal()), last.GetProperty("cost").GetProperty("usd").GetDecimal());
    }

    [Fact]
    public async Task Stream_OtherRunDiffers_EndsAsLost()
    {
        await using var world = await RescueWorld.StartAsync();
        world.First.Answer = RescueWorld.Losing("end", Sent);
        world.Second.Answer = RescueWorld.Serving(Chunk("""{"role":"assistant","content":"Grüße, Leute in Nah und Fern, seid"}"""), Chunk("{}", "stop"), "[DONE]");
        var seen = await world.StreamAsync("/v1/chat/completions", Request);
        Assert.True(seen.Broken);
        var chunks = seen.Events.Select(one => one.Json).ToList();
        Assert.Equal("Grüße, Welt 😀 and", TextOf(chunks));
        var last = chunks[^1].GetProperty("fairlead");
        Assert.Equal("provider_lost", last.GetProperty("outcome").GetString());
        Assert.Equal(["provider_lost", "cancelled"], last.GetProperty("attempts").EnumerateArray().Select(a => a.GetProperty("outcome").GetString()));
        Assert.Equal(["rescue_failed"], CodesOf(last));
    }

    [Fact]
    public async Task Stream_OtherRunLostToo_ThirdRunContinues()
    {
        await using var world = await RescueWorld.StartAsync();
        var calls = 0;
        world.First.Answer = context => Interlocked.Increment(ref calls) == 1
            ? RescueWorld.Losing("end", Sent)(context)
            : RescueWorld.Serving(Whole)(context);
        world.Second.Answer = RescueWorld.Losing("end", [.. Whole.Take(4)]);
        var seen = await world.StreamAsync("/v1/chat/completions", Request);
        var chunks = seen.Events.SkipLast(1).Select(one => one.Json).ToList();
        Assert.Equal("Grüße, Welt 😀 and more.", TextOf(chunks));
        Assert.Single(chunks.Select(chunk => chunk.GetProperty("id").GetString()).Distinct());
        Assert.Equal(3, chunks[^1].GetProperty("fairlead").GetProperty("attempts").GetArrayLength());
    }

    [Fact]
    public async Task ToolCall_LostInItsArguments_ContinuesUnderItsFirstId()
    {
        static string Call(string id, string arguments, bool starts) => Chunk(starts
            ? $$$"""{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"{{{id}}}","type":"function","function":{"name":"look_up","arguments":"{{{arguments}}}"}}]}"""
            : $$$"""{"tool_calls":[{"index":0,"function":{"arguments":"{{{arguments}}}"}}]}""");

        await using var world = await RescueWorld.StartAsync();
        world.First.Answer = RescueWorld.Losing("end", Call("call_one", "", true), Call("", "{\\\"city\\\":", false));
        // In one piece: it must be divided.
        world.Second.Answer = RescueWorld.Serving(Call("call_two", "{\\\"city\\\":\\\"Oslo\\\"}", true), Chunk("{}", "tool_calls"), UsageChunk(), "[DONE]");
        var seen = await world.StreamAsync("/v1/chat/completions",
            """{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi"}],"tools":[{"type":"function","function":{"name":"look_up","parameters":{"type":"object"}}}]}""");
        var calls = seen.Events.SkipLast(1).Select(one => one.Json.GetProperty("choices")[0].GetProperty("delta"))
            .Where(delta => delta.TryGetProperty("tool_calls", out _)).Select(delta => delta.GetProperty("tool_calls")[0]).ToList();
        Assert.Equal(["call_one"], calls.Where(call => call.TryGetProperty("id", out _)).Select(call => call.GetProperty("id").GetString()));
        Assert.Single(calls, call => call.GetProperty("function").TryGetProperty("name", out _));
        Assert.Equal("""{"city":"Oslo"}""", string.Concat(calls.Select(call => call.GetProperty("function").GetProperty("arguments").GetString())));
    }

    [Fact]
    public async Task TwoChoices_OtherRunInAnotherOrder_BothAreWhole()
    {
        static string Of(int choice, string delta, string finish = "null") =>
            $$$"""{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":{{{choice}}},"delta":{{{delta}}},"finish_reason":{{{finish}}}}]}""";

        await using var world = await RescueWorld.StartAsync();
        world.First.Answer = RescueWorld.Losing("end", Of(0, """{"role":"assistant","content":"Hel"}"""), Of(1, """{"role":"assistant","content":"Wor"}"""));
        world.Second.Answer = RescueWorld.Serving(
            Of(1, """{"role":"assistant","content":"World"}"""), Of(1, "{}", "\"stop\""), Of(0, """{"role":"assistant","content":"Hello"}"""), Of(0, "{}", "\"stop\""), UsageChunk(), "[DONE]");
        var seen = await world.StreamAsync("/v1/chat/completions", Request.Replace("{\"model\"", "{\"n\":2,\"model\"", StringComparison.Ordinal));
        Assert.False(seen.Broken, seen.Raw);
        var choices = seen.Events.SkipLast(1).Select(one => one.Json.GetProperty("choices")[0]).ToList();
        foreach (var (index, text) in new[] { (0, "Hello"), (1, "World") })
        {
            var own = choices.Where(choice => choice.GetProperty("index").GetInt32() == index).ToList();
            Assert.Equal(text, string.Concat(own.Select(choice => choice.GetProperty("delta").TryGetProperty("content", out var piece) ? piece.GetString() : "")));
            Assert.Single(own, choice => choice.GetProperty("delta").TryGetProperty("role", out _));
            Assert.Single(own, choice => choice.GetProperty("finish_reason").ValueKind == JsonValueKind.String);
        }
    }

    [Theory]
    [InlineData("midStreamRescue: off", "", "up", false)]
    [InlineData("", "\"fairlead\":{\"rescue\":\"off\"},", "up", false)]
    [InlineData("", "\"fairlead\":{\"rescue\":\"any\"},", "other", false)]
    [InlineData("midStreamRescue: any", "\"fairlead\":{\"rescue\":\"sameModel\"},", "other", false)]
    [InlineData("midStreamRescue: any", "", "other", true)]
    [InlineData("midStreamRescue: any", "\"fairlead\":{\"rescue\":\"sameModel\"},", "up", true)]
    public async Task Mode_ConfigurationAndRequest_NarrowOnly(string stream, string request, string secondModel, bool continues)
    {
        await using var world = await RescueWorld.StartAsync(stream: stream, secondModel: secondModel);
        world.First.Answer = RescueWorld.Losing("end", Sent);
        world.Second.Answer = RescueWorld.Serving(Whole);
        var seen = await world.StreamAsync("/v1/chat/completions", Request.Replace("{\"model\"", "{" + request + "\"model\"", StringComparison.Ordinal));
        Assert.Equal(!continues, seen.Broken);
        Assert.Equal(continues ? 1 : 0, world.Second.Requests.Count);
    }

    [Fact]
    public async Task Mode_OfKey_NarrowsAndIsShown()
    {
        await using var world = await RescueWorld.StartAsync();
        world.First.Answer = RescueWorld.Losing("end", Sent);
        world.Second.Answer = RescueWorld.Serving(Whole);
        var (secret, id) = await world.Gateway.MakeKeyAsync("\"scopes\":[\"chat\"],\"rescue\":\"off\"");
        using var client = world.Gateway.MakeClient(secret);
        using var response = await client.PostJsonAsync("/v1/chat/completions", Request);
        Assert.True((await SeenStream.ReadAsync(response, TestContext.Current.CancellationToken)).Broken);
        Assert.Empty(world.Second.Requests);
        var changed = await world.Gateway.Admin.SendForJsonAsync(HttpMethod.Patch, $"/admin/v1/keys/{id}", """{"rescue":null}""");
        Assert.Equal(JsonValueKind.Null, changed.GetProperty("rescue").ValueKind);
        using var refused = await world.Gateway.Admin.SendAsync(new HttpRequestMessage(HttpMethod.Patch, $"/admin/v1/keys/{id}") { Content = new StringContent("""{"rescue":"always"}""", null, "application/json") }, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
        Assert.Contains("/rescue", await refused.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/v1/chat/completions", """{"model":"m","messages":[{"role":"user","content":"x"}],"fairlead":{"rescue":"always"}}""", "fairlead.rescue")]
    [InlineData("/v1/messages", """{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}],"fairlead":{"rescue":7}}""", "fairlead.rescue")]
    [InlineData("/v2/generations", """{"model":"m","input":"x","rescue":"always"}""", "/rescue")]
    public async Task Mode_UnknownValue_IsRefusedWithItsField(string path, string body, string field)
    {
        await using var world = await RescueWorld.StartAsync();
        using var refused = await world.Gateway.Client.PostJsonAsync(path, body);
        Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
        Assert.Contains(field, await refused.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Budget_DoesNotAllowAnotherAttempt_EndsWithOutcomeBudget()
    {
        await using var world = await RescueWorld.StartAsync();
        world.First.Answer = RescueWorld.Losing("end", Sent);
        world.Second.Answer = RescueWorld.Serving(Whole);
        // Enough for one attempt of 10 tokens, and not for two.
        var seen = await world.StreamAsync("/v1/chat/completions",
            Request.Replace("{\"model\"", "{\"max_tokens\":10,\"fairlead\":{\"budget_usd\":0.00015},\"model\"", StringComparison.Ordinal));
        Assert.True(seen.Broken);
        Assert.Equal("budget", seen.Events[^1].Json.GetProperty("fairlead").GetProperty("outcome").GetString());
        Assert.Empty(world.Second.Requests);
    }

    [Fact]
    public async Task Deadline_OtherRunCannotMeetIt_IsNotStarted()
    {
        await using var world = await RescueWorld.StartAsync();
        world.First.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Sent[0]);
            await Task.Delay(TimeSpan.FromMilliseconds(700), TimeProvider.System, context.RequestAborted);
            await SendAsync(context, Sent[1]);
        };
        world.Second.Answer = RescueWorld.Serving(Whole);
        var seen = await world.StreamAsync("/v1/chat/completions",
            Request.Replace("{\"model\"", "{\"fairlead\":{\"deadline_ms\":1200},\"model\"", StringComparison.Ordinal));
        Assert.Empty(world.Second.Requests);
        var last = seen.Events[^1].Json.GetProperty("fairlead");
        Assert.Equal("provider_lost", last.GetProperty("outcome").GetString());
        Assert.Equal(["rescue_failed"], CodesOf(last));
    }

    private static string TextOf(IEnumerable<JsonElement> chunks) => string.Concat(chunks.Select(chunk =>
        chunk.TryGetProperty("choices", out var choices) && choices[0].GetProperty("delta").TryGetProperty("content", out var text) ? text.GetString() : ""));

    private static IEnumerable<string?> CodesOf(JsonElement fairlead) =>
        fairlead.GetProperty("warnings").EnumerateArray().Select(warning => warning.GetProperty("code").GetString());
}
