using System.Text.Json;
using Anthropic;
using Anthropic.Models.Messages;
using Fairlead.FunctionalTests.Clients;
using Fairlead.FunctionalTests.Common;
using Fairlead.Tests.Common;
using static Fairlead.FunctionalTests.Rescue.RescueWorld;

namespace Fairlead.FunctionalTests.Rescue;

/// <summary>Streams of providers with Anthropic's API: forwarded to Anthropic's client, translated for others, continued by a prefill.</summary>
public sealed class MessagesRescueTests
{
    private const string Start = """{"type":"message_start","message":{"id":"msg_RUN","type":"message","role":"assistant","model":"up","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":1}}}""";
    private const string Stop = """{"type":"message_stop"}""";
    private const string Request = """{"model":"m","max_tokens":100,"stream":true,"messages":[{"role":"user","content":"Hi"}]}""";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("end")]
    [InlineData("stall")]
    public async Task Messages_LostInThinkingTextOrTool_AreContinued(string fault)
    {
        string[] whole = [.. Run("two", "Let me think.", "Grüße 😀 all", "{\"city\":\"Oslo\"}", 5)];
        string[] first = [.. Run("one", "Let me think.", "Grüße 😀 all", "{\"city\":\"Oslo\"}", 3)];
        await using var world = await RescueWorld.StartAsync("anthropic");
        world.Second.Answer = Serving(whole);
        // From the first thought on, until only the end of the message is missing.
        for (var cut = 3; cut < first.Length - 2; cut += 2)
        {
            world.First.Answer = Losing(fault, first[..cut]);
            var seen = await world.StreamAsync("/v1/messages", Request);
            var events = seen.Events.Select(one => one.Json).ToList();
            Assert.Single(events, one => TypeOf(one) == "message_start");
            Assert.Equal("msg_one", events[0].GetProperty("message").GetProperty("id").GetString());
            Assert.Equal("message_stop", TypeOf(events[^1]));
            Assert.Equal([0, 1, 2], events.Where(one => TypeOf(one) == "content_block_start").Select(one => one.GetProperty("index").GetInt32()));
            Assert.Equal([0, 1, 2], events.Where(one => TypeOf(one) == "content_block_stop").Select(one => one.GetProperty("index").GetInt32()));
            Assert.Equal("Let me think.", Joined(events, "thinking"));
            Assert.Equal("Grüße 😀 all", Joined(events, "text"));
            Assert.Equal("{\"city\":\"Oslo\"}", Joined(events, "partial_json"));
            Assert.Single(events, one => one.TryGetProperty("delta", out var delta) && delta.TryGetProperty("signature", out _));
            Assert.Equal(40, events[^2].GetProperty("usage").GetProperty("output_tokens").GetInt32());
            Assert.Contains("stream_rescued", seen.Raw, StringComparison.Ordinal);
            if (fault == "stall") break;
        }
    }

    [Fact]
    public async Task AnthropicClient_ForwardedStreamLost_SeesOneMessage()
    {
        await using var world = await RescueWorld.StartAsync("anthropic");
        world.First.Answer = Losing("end", [.. Run("one", "", "Hello, wide world", "", 3).Take(4)]);
        world.Second.Answer = Serving([.. Run("two", "", "Hello, wide world", "", 7)]);
        using var client = new AnthropicClient { ApiKey = world.Gateway.Key, AuthToken = null, BaseUrl = world.Gateway.Url, MaxRetries = 0, ResponseValidation = true };
        var asking = new MessageCreateParams { Model = "m", MaxTokens = 100, Messages = [new UserMessageParam("Hi")] };
        var seen = await SeenMessage.ReadAsync(client.Messages.CreateStreaming(asking, Token));
        Assert.Equal("Hello, wide world", seen.Text.ToString());
        Assert.Equal(StopReason.EndTurn, seen.StopReason);
        Assert.Equal(2, world.First.Requests.Count + world.Second.Requests.Count);
    }

    [Fact]
    public async Task Chat_AtAnthropicProviders_IsContinued()
    {
        await using var world = await RescueWorld.StartAsync("anthropic");
        world.First.Answer = Losing("end", [.. Run("one", "", "Hello, wide world", "", 3).Take(4)]);
        world.Second.Answer = Serving([.. Run("two", "", "Hello, wide world", "", 7)]);
        var seen = await world.StreamAsync("/v1/chat/completions", Request);
        Assert.False(seen.Broken, seen.Raw);
        Assert.Equal("Hello, wide world", string.Concat(seen.Events.SkipLast(1).Select(one =>
            one.Json.GetProperty("choices")[0].GetProperty("delta").TryGetProperty("content", out var text) ? text.GetString() : "")));
    }

    [Theory]
    [InlineData("/v1/messages", "anthropic")]
    [InlineData("/v1/chat/completions", "anthropic")]
    [InlineData("/v1/chat/completions", "openai")]
    public async Task Prefill_ModelTakesIt_TextIsContinuedAndNotRepeated(string path, string firstKind)
    {
        await using var world = await RescueWorld.StartAsync(firstKind, prefill: true, secondKind: "anthropic");
        world.First.Answer = firstKind == "anthropic"
            ? Losing("end", [.. Run("one", "", "Hello, wide", "", 3).Take(6)])
            : Losing("end", FakeUpstream.Chunk("""{"role":"assistant","content":"Hello,"}"""), FakeUpstream.Chunk("""{"content":" wide"}"""));
        world.Second.Answer = Serving([.. Run("two", "", " world, sampled otherwise", "", 7)]);
        var seen = await world.StreamAsync(path, Request);
        Assert.False(seen.Broken, seen.Raw);
        var turns = world.Second.Received.Single().GetProperty("messages").EnumerateArray().ToList();
        Assert.Equal("assistant", turns[^1].GetProperty("role").GetString());
        Assert.Equal("Hello, wide", turns[^1].GetProperty("content")[0].GetProperty("text").GetString());
        var events = seen.Events.Where(one => one.Data != "[DONE]").Select(one => one.Json).ToList();
        if (path == "/v1/messages")
        {
            Assert.Equal("Hello, wide world, sampled otherwise", Joined(events, "text"));
            foreach (var type in (string[])["message_start", "content_block_start", "content_block_stop", "message_delta", "message_stop"])
                Assert.Single(events, one => TypeOf(one) == type);
            Assert.All(events.Where(one => one.TryGetProperty("index", out _)), one => Assert.Equal(0, one.GetProperty("index").GetInt32()));
        }
        else
        {
            Assert.Equal("Hello, wide world, sampled otherwise", string.Concat(events.Select(one =>
                one.GetProperty("choices")[0].GetProperty("delta").TryGetProperty("content", out var text) ? text.GetString() : "")));
            Assert.Single(events, one => one.GetProperty("choices")[0].GetProperty("delta").TryGetProperty("role", out _));
            Assert.Single(events.Select(one => one.GetProperty("id").GetString()).Distinct());
        }
        var last = events[^1].GetProperty("fairlead");
        Assert.Equal("complete", last.GetProperty("outcome").GetString());
        var attempts = last.GetProperty("attempts").EnumerateArray().ToList();
        Assert.Equal(attempts.Sum(attempt => attempt.GetProperty("usage").GetProperty("output_tokens").GetInt64()), last.GetProperty("usage").GetProperty("output_tokens").GetInt64());
        Assert.Equal(attempts[0].GetProperty("usage").GetProperty("input_tokens").GetInt64(), last.GetProperty("usage").GetProperty("input_tokens").GetInt64());
    }

    [Fact]
    public async Task Prefill_ProviderRefusesIt_FreshRunContinues()
    {
        await using var world = await RescueWorld.StartAsync("anthropic", prefill: true);
        world.First.Answer = Losing("end", [.. Run("one", "", "Hello, wide world", "", 3).Take(4)]);
        world.Second.Answer = context => ((JsonElement)context.Items[FakeUpstream.RequestItem]!).GetProperty("messages").GetArrayLength() > 1
            ? FakeUpstream.Json(context, """{"type":"error","error":{"type":"invalid_request_error","message":"This model does not support assistant message prefill."}}""", 400)
            : Serving([.. Run("two", "", "Hello, wide world", "", 7)])(context);
        var seen = await world.StreamAsync("/v1/messages", Request);
        Assert.Equal("Hello, wide world", Joined(seen.Events.Select(one => one.Json), "text"));
        Assert.Equal(2, world.Second.Requests.Count);
    }

    private static IEnumerable<string> Run(string run, string thinking, string text, string input, int size)
    {
        yield return Start.Replace("RUN", run, StringComparison.Ordinal);
        var index = 0;
        foreach (var (all, block, type, member) in new[]
        {
            (thinking, """{"type":"thinking","thinking":"","signature":""}""", "thinking_delta", "thinking"),
            (text, """{"type":"text","text":""}""", "text_delta", "text"),
            (input, $$$"""{"type":"tool_use","id":"toolu_{{{run}}}","name":"look_up","input":{}}""", "input_json_delta", "partial_json"),
        })
        {
            if (all.Length == 0) continue;
            yield return $$$"""{"type":"content_block_start","index":{{{index}}},"content_block":{{{block}}}}""";
            var runes = all.EnumerateRunes().Select(rune => rune.ToString()).ToList();
            foreach (var piece in runes.Chunk(size).Select(letters => string.Concat(letters)))
                yield return $$$"""{"type":"content_block_delta","index":{{{index}}},"delta":{"type":"{{{type}}}","{{{member}}}":{{{JsonSerializer.Serialize(piece)}}}}}""";
            if (member == "thinking") yield return $$$"""{"type":"content_block_delta","index":{{{index}}},"delta":{"type":"signature_delta","signature":"sig_{{{run}}}"}}""";
            yield return $$$"""{"type":"content_block_stop","index":{{{index++}}}}""";
        }
        yield return $$$"""{"type":"message_delta","delta":{"stop_reason":"{{{(input.Length > 0 ? "tool_use" : "end_turn")}}}","stop_sequence":null},"usage":{"output_tokens":40}}""";
        yield return Stop;
    }

    private static string TypeOf(JsonElement one) => one.GetProperty("type").GetString()!;

    private static string Joined(IEnumerable<JsonElement> events, string member) => string.Concat(events.Select(one =>
        one.TryGetProperty("delta", out var delta) && delta.TryGetProperty(member, out var text) ? text.GetString() : ""));
}
