using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Quirks;

/// <summary>Reads responses of every dialect as a strict client does: a missing or mistyped member fails the test.</summary>
internal static class QuirkReader
{
    public static QuirkSeen Whole(string dialect, string body)
    {
        var root = JsonDocument.Parse(body).RootElement;
        var (text, reasoning) = (new StringBuilder(), new StringBuilder());
        var calls = new List<(string, string)>();
        var finish = "";
        switch (dialect)
        {
            case "chat":
                Envelope(root, "chat.completion");
                var choice = root.GetProperty("choices")[0];
                Assert.Equal(0, choice.GetProperty("index").GetInt32());
                var message = choice.GetProperty("message");
                Assert.Equal("assistant", message.GetProperty("role").GetString());
                text.Append(message.GetProperty("content").GetString());
                if (message.TryGetProperty("reasoning_content", out var thought)) reasoning.Append(thought.GetString());
                if (message.TryGetProperty("tool_calls", out var list) && list.ValueKind != JsonValueKind.Null)
                {
                    foreach (var call in list.EnumerateArray())
                    {
                        Assert.NotEmpty(call.GetProperty("id").GetString()!);
                        Assert.Equal("function", call.GetProperty("type").GetString());
                        calls.Add((call.GetProperty("function").GetProperty("name").GetString()!, Compact(call.GetProperty("function").GetProperty("arguments").GetString()!)));
                    }
                }
                finish = ChatFinish(choice.GetProperty("finish_reason").GetString()!);
                break;
            case "messages":
                Assert.Equal("message", root.GetProperty("type").GetString());
                Assert.Equal("assistant", root.GetProperty("role").GetString());
                Assert.NotEmpty(root.GetProperty("id").GetString()!);
                Assert.NotEmpty(root.GetProperty("model").GetString()!);
                Assert.True(root.GetProperty("usage").GetProperty("output_tokens").GetInt64() >= 0);
                foreach (var block in root.GetProperty("content").EnumerateArray()) Block(block, text, reasoning, calls);
                finish = MessagesFinish(root.GetProperty("stop_reason").GetString()!);
                break;
            case "responses":
                Assert.Equal("response", root.GetProperty("object").GetString());
                Assert.True(root.GetProperty("usage").GetProperty("output_tokens").GetInt64() >= 0);
                Items(root.GetProperty("output"), text, reasoning, calls);
                finish = ResponsesFinish(root, calls.Count > 0);
                break;
            default:
                V2Items(root, text, reasoning, calls);
                finish = V2Finish(root.GetProperty("outcome").GetString()!);
                break;
        }
        return new QuirkSeen(200, text.ToString(), reasoning.ToString(), calls, finish, body);
    }

    public static QuirkSeen Stream(string dialect, SeenStream stream) => dialect switch
    {
        "chat" => Chat(stream),
        "messages" => Messages(stream),
        "responses" => Responses(stream),
        _ => V2(stream),
    };

    private static QuirkSeen Chat(SeenStream stream)
    {
        var (text, reasoning) = (new StringBuilder(), new StringBuilder());
        var calls = new SortedDictionary<int, (string Name, StringBuilder Arguments)>();
        string? finish = null;
        string? id = null;
        var started = false;
        var failed = false;
        foreach (var seen in stream.Events.Where(seen => seen.Data != "[DONE]"))
        {
            var root = seen.Json;
            if (root.TryGetProperty("error", out _))
            {
                failed = true;
                continue;
            }
            Envelope(root, "chat.completion.chunk");
            id ??= root.GetProperty("id").GetString();
            Assert.Equal(id, root.GetProperty("id").GetString());
            foreach (var choice in root.GetProperty("choices").EnumerateArray())
            {
                if (choice.GetProperty("index").GetInt32() != 0) continue;
                var delta = choice.GetProperty("delta");
                if (!started) Assert.Equal("assistant", delta.GetProperty("role").GetString());
                started = true;
                if (delta.TryGetProperty("content", out var content) && content.ValueKind != JsonValueKind.Null) text.Append(content.GetString());
                if (delta.TryGetProperty("reasoning_content", out var thought) && thought.ValueKind != JsonValueKind.Null) reasoning.Append(thought.GetString());
                if (delta.TryGetProperty("tool_calls", out var fragments) && fragments.ValueKind != JsonValueKind.Null)
                {
                    foreach (var fragment in fragments.EnumerateArray()) Fragment(fragment, calls);
                }
                if (choice.TryGetProperty("finish_reason", out var reason) && reason.ValueKind != JsonValueKind.Null)
                {
                    Assert.Null(finish);
                    finish = ChatFinish(reason.GetString()!);
                }
            }
        }
        var ended = stream.Events.Count > 0 && stream.Events[^1].Data == "[DONE]";
        Assert.Equal(failed, !ended);
        return new QuirkSeen(200, text.ToString(), reasoning.ToString(), [.. calls.Values.Select(c => (c.Name, Compact(c.Arguments.ToString())))], failed ? "failed" : finish ?? "none", stream.Raw);
    }

    private static void Fragment(JsonElement fragment, SortedDictionary<int, (string Name, StringBuilder Arguments)> calls)
    {
        var index = fragment.GetProperty("index").GetInt32();
        var function = fragment.GetProperty("function");
        if (!calls.TryGetValue(index, out var call))
        {
            Assert.Equal(calls.Count, index);
            Assert.NotEmpty(fragment.GetProperty("id").GetString()!);
            Assert.Equal("function", fragment.GetProperty("type").GetString());
            calls[index] = call = (function.GetProperty("name").GetString()!, new StringBuilder());
            Assert.NotEmpty(call.Name);
        }
        else if (function.TryGetProperty("name", out var name))
        {
            Assert.True(string.IsNullOrEmpty(name.GetString()));
        }
        if (function.TryGetProperty("arguments", out var arguments)) call.Arguments.Append(arguments.GetString());
    }

    private static QuirkSeen Messages(SeenStream stream)
    {
        var (text, reasoning) = (new StringBuilder(), new StringBuilder());
        var calls = new List<(string, string)>();
        var open = new Dictionary<int, (JsonElement Block, StringBuilder Text)>();
        string? finish = null;
        var (failed, ended) = (false, false);
        var (started, blocks) = (false, 0);
        foreach (var seen in stream.Events)
        {
            var root = seen.Json;
            Assert.Equal(seen.Name, root.GetProperty("type").GetString());
            switch (seen.Name)
            {
                case "message_start":
                    Assert.False(started);
                    started = true;
                    var message = root.GetProperty("message");
                    Assert.Equal("message", message.GetProperty("type").GetString());
                    Assert.Equal("assistant", message.GetProperty("role").GetString());
                    Assert.NotEmpty(message.GetProperty("id").GetString()!);
                    Assert.NotEmpty(message.GetProperty("model").GetString()!);
                    Assert.Equal(0, message.GetProperty("content").GetArrayLength());
                    Assert.True(message.GetProperty("usage").GetProperty("output_tokens").GetInt64() >= 0);
                    break;
                case "content_block_start":
                    Assert.True(started);
                    Assert.Equal(blocks++, root.GetProperty("index").GetInt32());
                    open[root.GetProperty("index").GetInt32()] = (root.GetProperty("content_block"), new StringBuilder());
                    break;
                case "content_block_delta":
                    var delta = root.GetProperty("delta");
                    var (block, into) = open[root.GetProperty("index").GetInt32()];
                    if (delta.GetProperty("type").GetString() is "text_delta" or "thinking_delta") Assert.Equal(delta.GetProperty("type").GetString(), block.GetProperty("type").GetString() + "_delta");
                    if (delta.GetProperty("type").GetString() == "input_json_delta") Assert.Equal("tool_use", block.GetProperty("type").GetString());
                    foreach (var name in (string[])["text", "thinking", "partial_json"])
                    {
                        if (delta.TryGetProperty(name, out var piece)) into.Append(piece.GetString());
                    }
                    break;
                case "content_block_stop": Close(root.GetProperty("index").GetInt32()); break;
                case "message_delta":
                    Assert.Null(finish);
                    Assert.Empty(open);
                    Assert.True(root.GetProperty("usage").GetProperty("output_tokens").GetInt64() >= 0);
                    finish = root.GetProperty("delta").GetProperty("stop_reason").GetString();
                    break;
                case "message_stop": ended = true; break;
                case "error": failed = true; break;
            }
        }
        foreach (var index in open.Keys.Order().ToArray()) Close(index);
        Assert.Equal(failed, !ended);
        return new QuirkSeen(200, text.ToString(), reasoning.ToString(), calls, failed ? "failed" : MessagesFinish(finish!), stream.Raw);

        void Close(int index)
        {
            var (block, content) = open[index];
            open.Remove(index);
            switch (block.GetProperty("type").GetString())
            {
                case "text": text.Append(block.GetProperty("text").GetString()).Append(content); break;
                case "thinking": reasoning.Append(block.GetProperty("thinking").GetString()).Append(content); break;
                case "tool_use": calls.Add((block.GetProperty("name").GetString()!, Compact(content.Length == 0 ? block.GetProperty("input").GetRawText() : content.ToString()))); break;
            }
        }
    }

    private static QuirkSeen Responses(SeenStream stream)
    {
        var deltas = new StringBuilder();
        var (text, reasoning) = (new StringBuilder(), new StringBuilder());
        var calls = new List<(string, string)>();
        var finish = "none";
        var items = new OpenItems();
        foreach (var seen in stream.Events.Where(seen => seen.Data != "[DONE]"))
        {
            var root = seen.Json;
            Assert.Equal(seen.Name, root.GetProperty("type").GetString());
            items.Take(seen.Name!, root);
            switch (seen.Name)
            {
                case "response.output_text.delta": deltas.Append(root.GetProperty("delta").GetString()); break;
                case "response.completed" or "response.incomplete" or "response.failed":
                    Assert.Equal("none", finish);
                    var response = root.GetProperty("response");
                    Assert.Equal(seen.Name, "response." + response.GetProperty("status").GetString());
                    Assert.Equal("response", response.GetProperty("object").GetString());
                    if (seen.Name != "response.failed") items.AreAllIn(response.GetProperty("output"));
                    Items(response.GetProperty("output"), text, reasoning, calls);
                    finish = ResponsesFinish(response, calls.Count > 0);
                    break;
            }
        }
        if (finish != "failed") Assert.Equal(deltas.ToString(), text.ToString());
        return new QuirkSeen(200, deltas.ToString(), reasoning.ToString(), calls, finish, stream.Raw);
    }

    private static QuirkSeen V2(SeenStream stream)
    {
        var deltas = new StringBuilder();
        var (text, reasoning) = (new StringBuilder(), new StringBuilder());
        var calls = new List<(string, string)>();
        foreach (var seen in stream.Events.Where(seen => seen.Name == "output.text.delta")) deltas.Append(seen.Json.GetProperty("text").GetString());
        var last = stream.Events[^1].Json.GetProperty("generation");
        V2Items(last, text, reasoning, calls);
        var finish = V2Finish(last.GetProperty("outcome").GetString()!);
        if (finish != "failed") Assert.Equal(deltas.ToString(), text.ToString());
        return new QuirkSeen(200, deltas.ToString(), reasoning.ToString(), calls, finish, stream.Raw);
    }

    private static void Envelope(JsonElement root, string name)
    {
        Assert.NotEmpty(root.GetProperty("id").GetString()!);
        Assert.Equal(name, root.GetProperty("object").GetString());
        Assert.True(root.GetProperty("created").GetInt64() > 1_000_000_000);
        Assert.NotEmpty(root.GetProperty("model").GetString()!);
    }

    private static void Block(JsonElement block, StringBuilder text, StringBuilder reasoning, List<(string, string)> calls)
    {
        switch (block.GetProperty("type").GetString())
        {
            case "text": text.Append(block.GetProperty("text").GetString()); break;
            case "thinking": reasoning.Append(block.GetProperty("thinking").GetString()); break;
            case "tool_use":
                Assert.NotEmpty(block.GetProperty("id").GetString()!);
                calls.Add((block.GetProperty("name").GetString()!, Compact(block.GetProperty("input").GetRawText())));
                break;
        }
    }

    /// <summary>
    /// Assembles items and their parts as a client does: each starts, gets its pieces and ends, in the order of the output.
    /// </summary>
    private sealed class OpenItems
    {
        private readonly List<(string Id, string Type)> _items = [];
        private readonly HashSet<string> _open = [];
        private readonly Dictionary<string, StringBuilder> _arguments = [];
        private readonly Dictionary<(string Id, int Part), StringBuilder> _parts = [];

        public void Take(string name, JsonElement root)
        {
            switch (name)
            {
                case "response.output_item.added":
                    var item = root.GetProperty("item");
                    var id = item.GetProperty("id").GetString()!;
                    Assert.NotEmpty(id);
                    Assert.Equal(_items.Count, root.GetProperty("output_index").GetInt32());
                    Assert.True(_open.Add(id));
                    _items.Add((id, item.GetProperty("type").GetString()!));
                    if (_items[^1].Type == "message") Assert.Equal(0, item.GetProperty("content").GetArrayLength());
                    if (_items[^1].Type == "function_call") Assert.NotEmpty(item.GetProperty("name").GetString()!);
                    break;
                case "response.output_item.done":
                    var done = root.GetProperty("item");
                    Assert.Equal(_items[root.GetProperty("output_index").GetInt32()].Id, done.GetProperty("id").GetString());
                    Assert.True(_open.Remove(done.GetProperty("id").GetString()!));
                    // One whose stream broke off is shown as it began.
                    if (done.TryGetProperty("status", out var status) && status.GetString() == "incomplete") break;
                    if (_arguments.TryGetValue(done.GetProperty("id").GetString()!, out var all)) Assert.Equal(all.ToString(), done.GetProperty("arguments").GetString());
                    break;
                case "response.content_part.added":
                    Of(root);
                    Assert.True(_parts.TryAdd(PartOf(root), new StringBuilder()));
                    break;
                case "response.output_text.delta":
                    Of(root);
                    _parts[PartOf(root)].Append(root.GetProperty("delta").GetString());
                    break;
                case "response.output_text.done":
                    Of(root);
                    Assert.Equal(_parts[PartOf(root)].ToString(), root.GetProperty("text").GetString());
                    break;
                case "response.content_part.done":
                    Of(root);
                    Assert.Equal(_parts[PartOf(root)].ToString(), root.GetProperty("part").GetProperty("text").GetString());
                    break;
                case "response.function_call_arguments.delta":
                    Of(root);
                    var call = root.GetProperty("item_id").GetString()!;
                    if (!_arguments.TryGetValue(call, out var arguments)) _arguments[call] = arguments = new StringBuilder();
                    arguments.Append(root.GetProperty("delta").GetString());
                    break;
            }
        }

        public void AreAllIn(JsonElement output)
        {
            Assert.Empty(_open);
            Assert.Equal(_items, output.EnumerateArray().Select(item => (item.GetProperty("id").GetString()!, item.GetProperty("type").GetString()!)));
        }

        private void Of(JsonElement root)
        {
            Assert.Contains(root.GetProperty("item_id").GetString()!, _open);
            Assert.Equal(_items[root.GetProperty("output_index").GetInt32()].Id, root.GetProperty("item_id").GetString());
        }

        private static (string, int) PartOf(JsonElement root) => (root.GetProperty("item_id").GetString()!, root.GetProperty("content_index").GetInt32());
    }

    private static void Items(JsonElement output, StringBuilder text, StringBuilder reasoning, List<(string, string)> calls)
    {
        foreach (var item in output.EnumerateArray())
        {
            Assert.NotEmpty(item.GetProperty("id").GetString()!);
            switch (item.GetProperty("type").GetString())
            {
                case "message":
                    Assert.Equal("assistant", item.GetProperty("role").GetString());
                    foreach (var part in item.GetProperty("content").EnumerateArray())
                    {
                        Assert.Equal("output_text", part.GetProperty("type").GetString());
                        Assert.Equal(JsonValueKind.Array, part.GetProperty("annotations").ValueKind);
                        text.Append(part.GetProperty("text").GetString());
                    }
                    break;
                case "function_call":
                    Assert.NotEmpty(item.GetProperty("call_id").GetString()!);
                    calls.Add((item.GetProperty("name").GetString()!, Compact(item.GetProperty("arguments").GetString()!)));
                    break;
                case "reasoning": reasoning.Append(item.ToString().Contains("think", StringComparison.Ordinal) ? "think" : ""); break;
            }
        }
    }

    private static void V2Items(JsonElement root, StringBuilder text, StringBuilder reasoning, List<(string, string)> calls)
    {
        if (root.GetProperty("output") is not { ValueKind: JsonValueKind.Array } output) return;
        foreach (var item in output.EnumerateArray())
        {
            switch (item.GetProperty("type").GetString())
            {
                case "message":
                    foreach (var part in item.GetProperty("content").EnumerateArray()) text.Append(part.GetProperty("text").GetString());
                    break;
                case "tool_call":
                    Assert.NotEmpty(item.GetProperty("id").GetString()!);
                    calls.Add((item.GetProperty("name").GetString()!, Compact(item.GetProperty("arguments").GetString()!)));
                    break;
                case "reasoning": reasoning.Append(item.ToString().Contains("think", StringComparison.Ordinal) ? "think" : ""); break;
            }
        }
    }

    // Spaces, and the two forms of no arguments, are the dialect's own.
    private static string Compact(string json) => json.Length == 0 ? "{}" : json.Replace(" ", "", StringComparison.Ordinal);

    private static string ChatFinish(string word) => word is "stop" or "length" or "tool_calls" or "content_filter" ? word : throw new InvalidOperationException($"Not a word of OpenAI: {word}");

    private static string MessagesFinish(string word) => word switch
    {
        "end_turn" or "stop_sequence" => "stop",
        "max_tokens" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        _ => throw new InvalidOperationException($"Not a word of Anthropic: {word}"),
    };

    private static string ResponsesFinish(JsonElement response, bool called) => response.GetProperty("status").GetString() switch
    {
        "completed" => called ? "tool_calls" : "stop",
        "incomplete" => response.GetProperty("incomplete_details").GetProperty("reason").GetString() == "content_filter" ? "content_filter" : "length",
        _ => "failed",
    };

    private static string V2Finish(string outcome) => outcome switch
    {
        "complete" => "stop",
        "length" or "tool_calls" or "content_filter" => outcome,
        _ => "failed",
    };
}
