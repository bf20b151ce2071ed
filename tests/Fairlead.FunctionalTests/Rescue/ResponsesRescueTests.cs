using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using static Fairlead.FunctionalTests.Rescue.RescueWorld;

namespace Fairlead.FunctionalTests.Rescue;

/// <summary>Forwarded streams of the Responses API: items, their ids and the whole response at the end.</summary>
public sealed class ResponsesRescueTests
{
    private const string Request = """{"model":"m","stream":true,"input":"Hi"}""";

    [Fact]
    public async Task Stream_LostAnywhere_ItemsAndTextAreWhole()
    {
        string[] first = [.. Run("one", 2)];
        await using var world = await RescueWorld.StartAsync();
        world.Second.Answer = Serving([.. Run("two", 5)]);
        for (var cut = 4; cut < first.Length - 1; cut++)
        {
            world.First.Answer = Losing("end", first[..cut]);
            var seen = await world.StreamAsync("/v1/responses", Request);
            var events = seen.Events.Where(one => one.Data != "[DONE]").Select(one => one.Json).ToList();
            Assert.Equal(Enumerable.Range(0, events.Count), events.Select(one => one.GetProperty("sequence_number").GetInt32()));
            Assert.Equal("Hello 😀 there", string.Concat(Of(events, "response.output_text.delta").Select(one => one.GetProperty("delta").GetString())));
            Assert.Equal("{\"a\":1}", string.Concat(Of(events, "response.function_call_arguments.delta").Select(one => one.GetProperty("delta").GetString())));
            foreach (var (type, count) in new[] { ("response.created", 1), ("response.output_item.added", 2), ("response.output_item.done", 2), ("response.output_text.done", 1), ("response.completed", 1) })
                Assert.Equal(count, Of(events, type).Count());
            // Every item has one id, from its start to the whole response.
            var output = events[^1].GetProperty("response").GetProperty("output");
            for (var at = 0; at < 2; at++)
            {
                var ids = events.Where(one => one.TryGetProperty("output_index", out var index) && index.GetInt32() == at)
                    .Select(one => one.TryGetProperty("item_id", out var id) ? id : one.GetProperty("item").GetProperty("id")).Select(id => id.GetString())
                    .Append(output[at].GetProperty("id").GetString());
                Assert.Single(ids.Distinct());
            }
            Assert.Single(events.Where(one => one.TryGetProperty("item", out var item) && item.TryGetProperty("call_id", out _))
                .Select(one => one.GetProperty("item").GetProperty("call_id").GetString()).Append(output[1].GetProperty("call_id").GetString()).Distinct());
            Assert.Contains("stream_rescued", seen.Raw, StringComparison.Ordinal);
        }
    }

    private static IEnumerable<JsonElement> Of(IEnumerable<JsonElement> events, string type) =>
        events.Where(one => one.GetProperty("type").GetString() == type);

    private static IEnumerable<string> Run(string run, int size)
    {
        const string text = "Hello 😀 there";
        var usage = """{"input_tokens":3,"input_tokens_details":{"cached_tokens":0},"output_tokens":9,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":12}""";
        var message = $$"""{"id":"msg_{{run}}","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"{{text}}","annotations":[],"logprobs":[]}]}""";
        var call = $$"""{"id":"fc_{{run}}","type":"function_call","call_id":"call_{{run}}","name":"look_up","arguments":"{\"a\":1}","status":"completed"}""";
        yield return $$"""{"type":"response.created","response":{"id":"resp_{{run}}","object":"response","created_at":1,"status":"in_progress","model":"up","output":[]} }""";
        yield return $$"""{"type":"response.output_item.added","output_index":0,"item":{"id":"msg_{{run}}","type":"message","status":"in_progress","role":"assistant","content":[]} }""";
        yield return $$"""{"type":"response.content_part.added","item_id":"msg_{{run}}","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]} }""";
        foreach (var piece in text.EnumerateRunes().Select(rune => rune.ToString()).Chunk(size).Select(letters => string.Concat(letters)))
            yield return $$"""{"type":"response.output_text.delta","item_id":"msg_{{run}}","output_index":0,"content_index":0,"delta":"{{piece}}","logprobs":[]}""";
        yield return $$"""{"type":"response.output_text.done","item_id":"msg_{{run}}","output_index":0,"content_index":0,"text":"{{text}}","logprobs":[]}""";
        yield return $$"""{"type":"response.content_part.done","item_id":"msg_{{run}}","output_index":0,"content_index":0,"part":{"type":"output_text","text":"{{text}}","annotations":[],"logprobs":[]} }""";
        yield return $$"""{"type":"response.output_item.done","output_index":0,"item":{{message}} }""";
        yield return $$"""{"type":"response.output_item.added","output_index":1,"item":{"id":"fc_{{run}}","type":"function_call","call_id":"call_{{run}}","name":"look_up","arguments":"","status":"in_progress"} }""";
        foreach (var piece in "{|\\\"|a\\\"|:1|}".Split('|'))
            yield return $$"""{"type":"response.function_call_arguments.delta","item_id":"fc_{{run}}","output_index":1,"delta":"{{piece}}"}""";
        yield return $$"""{"type":"response.function_call_arguments.done","item_id":"fc_{{run}}","output_index":1,"name":"look_up","arguments":"{\"a\":1}"}""";
        yield return $$"""{"type":"response.output_item.done","output_index":1,"item":{{call}} }""";
        yield return $$"""{"type":"response.completed","response":{"id":"resp_{{run}}","object":"response","created_at":1,"status":"completed","model":"up","output":[{{message}},{{call}}],"usage":{{usage}}} }""";
    }
}
