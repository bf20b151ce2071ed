using System.Text;
using System.Text.Json;
using CsCheck;
using Fairlead.FunctionalTests.Common;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Fidelity;

/// <summary>The same provider's stream, passed on as it came and translated into another dialect, says the same.</summary>
public sealed class TwoSpeedsTests
{
    private static readonly Gen<string> Piece = Gen.OneOf(
        Gen.Const("\u00e9\u4e16\ud83d\ude80"), Gen.Const("line\nbreak\r\n"), Gen.Const("\"quoted\" \\ back"), Gen.Const(" "), Gen.Const("data: [DONE]\n\n"), Gen.Const("\"fairlead\":1"),
        Gen.String[Gen.Char[' ', '~'], 1, 12]);

    /// <param name="Pieces">Text, one chunk each.</param>
    /// <param name="Tool">Fragments of a tool call's arguments, or none.</param>
    /// <param name="Reason">Native finish reason.</param>
    /// <param name="Joined">Whether the chunk with the reason also contains the last text.</param>
    private sealed record Script(string[] Pieces, string[] Tool, string Reason, bool Joined)
    {
        public IEnumerable<string> Chunks()
        {
            yield return Chunk("""{"role":"assistant","content":""}""");
            var joined = Joined && Tool.Length == 0;
            foreach (var piece in joined ? Pieces[..^1] : Pieces) yield return Chunk($$"""{"content":{{JsonSerializer.Serialize(piece)}}}""");
            for (var i = 0; i < Tool.Length; i++)
            {
                yield return Chunk(i == 0
                    ? $$$"""{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"look","arguments":{{{JsonSerializer.Serialize(Tool[i])}}}}}]}"""
                    : $$$"""{"tool_calls":[{"index":0,"function":{"arguments":{{{JsonSerializer.Serialize(Tool[i])}}}}}]}""");
            }
            yield return Chunk(joined ? $$"""{"content":{{JsonSerializer.Serialize(Pieces[^1])}}}""" : "{}", Tool.Length > 0 ? "tool_calls" : Reason);
            yield return UsageChunk();
            yield return "[DONE]";
        }
    }

    private static readonly Gen<Script> Scripts = Gen.Select(
        Piece.Array[1, 8], Gen.OneOf(Gen.Const(Array.Empty<string>()), Gen.Const(new[] { "{\"a\":", "\"\u00e9\\n\"", "}" }), Gen.Const(new[] { "{}" })),
        Gen.OneOf(Gen.Const("stop"), Gen.Const("length"), Gen.Const("content_filter")), Gen.Bool, (pieces, tool, reason, joined) => new Script(pieces, tool, reason, joined));

    [Fact]
    public async Task Stream_NativeAndTranslated_HaveSameContent()
    {
        await using var upstream = await FakeUpstream.StartAsync();
        await using var gateway = await TestGateway.StartAsync(upstream.Yaml());
        var cancel = TestContext.Current.CancellationToken;
        await Scripts.SampleAsync(
            async script =>
            {
                upstream.Answer = async context =>
                {
                    await BeginAsync(context);
                    await SendAsync(context, [.. script.Chunks()]);
                };
                var native = await ReadAsync("/v1/chat/completions", """{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}""");
                var translated = await ReadAsync("/v1/messages", """{"model":"m","max_tokens":100,"stream":true,"messages":[{"role":"user","content":"hi"}]}""");
                var (text, arguments) = (new StringBuilder(), new StringBuilder());
                var (foreignText, foreignArguments, stop) = (new StringBuilder(), new StringBuilder(), "");
                foreach (var choice in native.Where(e => e.Data != "[DONE]").SelectMany(e => e.Json.GetProperty("choices").EnumerateArray()))
                {
                    var delta = choice.GetProperty("delta");
                    if (delta.TryGetProperty("content", out var content)) text.Append(content.GetString());
                    if (delta.TryGetProperty("tool_calls", out var calls)) arguments.Append(calls[0].GetProperty("function").GetProperty("arguments").GetString());
                }
                foreach (var e in translated.Select(e => e.Json))
                {
                    if (!e.TryGetProperty("delta", out var delta)) continue;
                    if (delta.TryGetProperty("text", out var more)) foreignText.Append(more.GetString());
                    if (delta.TryGetProperty("partial_json", out var json)) foreignArguments.Append(json.GetString());
                    if (delta.TryGetProperty("stop_reason", out var reason)) stop = reason.GetString();
                }
                Assert.Equal(string.Concat(script.Pieces), text.ToString());
                Assert.Equal(text.ToString(), foreignText.ToString());
                Assert.Equal(string.Concat(script.Tool), arguments.ToString());
                Assert.Equal(arguments.ToString(), foreignArguments.ToString());
                Assert.Equal(script.Tool.Length > 0 ? "tool_use" : script.Reason switch { "length" => "max_tokens", "content_filter" => "refusal", _ => "end_turn" }, stop);
                return true;
            },
            iter: 60,
            threads: 1);

        async Task<IReadOnlyList<SeenEvent>> ReadAsync(string path, string body)
        {
            using var response = await gateway.Client.SendAsync(new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(body, Encoding.UTF8, "application/json") }, HttpCompletionOption.ResponseHeadersRead, cancel);
            var stream = await SeenStream.ReadAsync(response, cancel);
            Assert.False(stream.Broken, stream.Raw);
            return stream.Events;
        }
    }
}
