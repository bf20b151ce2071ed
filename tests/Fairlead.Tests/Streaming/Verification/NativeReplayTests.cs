using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using CsCheck;
using Fairlead.Dialects;
using Fairlead.Dialects.AnthropicMessages;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Dialects.OpenAiResponses;
using Fairlead.Streaming;
using Fairlead.Streaming.Verification;
using Fairlead.TokenCounting;

namespace Fairlead.Tests.Streaming.Verification;

/// <summary>The same in the events of each dialect: what the scanner measured of one run is found again in the events of another.</summary>
public sealed partial class NativeReplayTests
{
    private static readonly string[] Letters = ["a", "b", " word", "é", "漢", "😀", "\n", "\"", "\\", "\u0001", "{\"k\":"];

    private static readonly Gen<string> Texts =
        Gen.Int[0, Letters.Length - 1].Select(i => Letters[i]).List[0, 25].Select(string.Concat);

    [Theory]
    [InlineData("chat")]
    [InlineData("messages")]
    [InlineData("responses")]
    public void Take_RunDividedDifferently_AddsExactlyWhatIsMissing(string dialect)
    {
        NativeStreams streams = dialect switch
        {
            "chat" => new ChatStreams(),
            "messages" => new MessagesStreams(),
            _ => new ResponsesStreams(null),
        };
        Gen.Select(Texts, Texts, Texts, Gen.Int[0, 1_000_000], Gen.Int[0, 1_000_000]).Sample((reasoning, text, arguments, seed, other) =>
        {
            var first = Events(dialect, reasoning, text, arguments, new Random(seed), "1");
            var second = Events(dialect, reasoning, text, arguments, new Random(other), "2");
            // After the finish nothing is lost.
            for (var cut = 1; cut < first.Count - 2; cut++)
            {
                var sent = Scan(streams, first.Take(cut), out var digest);
                if (!digest.IsComparable) return false;
                var replay = new OutputReplay(digest);
                var native = streams.CreateReplay(replay)!;
                using var batch = new EventBatch();
                using var input = new EventBatch();
                var meter = new OutputMeter();
                var scanner = streams.CreateScanner(meter);
                foreach (var (name, data) in second) Scan(scanner, name, data, input);
                foreach (var item in input.Items) native.Take(input.DataOf(item), item.Kind, item.Traits, batch);
                if (replay.Differs || !replay.IsCaughtUp) return false;
                var rest = batch.Items.Select(item => Encoding.UTF8.GetString(batch.DataOf(item)));
                if (Shown(dialect, [.. sent, .. rest]) != Shown(dialect, first.Select(one => one.Data))) return false;
            }
            return true;
        }, iter: 60);
    }

    [Fact]
    public void Take_ArgumentsOfOtherItem_Differ()
    {
        var streams = new ResponsesStreams(null);
        static (string, string) Delta(int item, string text) => ("response.function_call_arguments.delta",
            Event("response.function_call_arguments.delta", "fc_" + item, item, ("delta", text)).ToJsonString());
        var digest = DigestOf(streams, [Delta(0, "a"), Delta(1, "b")]);
        Assert.False(IsSame(streams, digest, [Delta(0, "ab")]));
        Assert.False(IsSame(streams, digest, [Delta(1, "a"), Delta(0, "b")]));
        Assert.True(IsSame(streams, digest, [Delta(0, "a"), Delta(1, "bc")]));
    }

    [Theory]
    [InlineData("{}", true)]
    [InlineData("{\"city\":\"Oslo\"}", false)]
    public void Digest_BlockStartsWithItsInput_IsComparableOnlyIfEmpty(string input, bool isComparable)
    {
        var start = $$$"""{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"look_up","input":{{{input}}}}}""";
        var digest = DigestOf(new MessagesStreams(), [("content_block_start", start)]);
        Assert.Equal(isComparable, digest.IsComparable);
    }

    [Fact]
    public void Take_ReasoningUnderTwoNames_MayBeDividedOtherwise()
    {
        static (string, string) Both(string text) => ("",
            $$$"""{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"reasoning_content":"{{{text}}}","reasoning":"{{{text}}}"},"finish_reason":null}]}""");
        var streams = new ChatStreams();
        var digest = DigestOf(streams, [Both("Let "), Both("me")]);
        Assert.True(IsSame(streams, digest, [Both("L"), Both("et me think")]));
        Assert.False(IsSame(streams, digest, [Both("L"), Both("et us think")]));
    }

    // Without the repair of what such short streams lack.
    private static OutputDigest DigestOf(NativeStreams streams, IEnumerable<(string Name, string Data)> events)
    {
        var digest = new OutputDigest();
        var scanner = streams.CreateScanner(new OutputMeter { Digest = digest });
        foreach (var (name, data) in events) scanner.Scan(Encoding.UTF8.GetBytes(name), Encoding.UTF8.GetBytes(data), out _);
        return digest;
    }

    private static bool IsSame(NativeStreams streams, OutputDigest sent, IEnumerable<(string Name, string Data)> events)
    {
        var replay = new OutputReplay(sent);
        var native = streams.CreateReplay(replay)!;
        using var input = new EventBatch();
        using var output = new EventBatch();
        var scanner = streams.CreateScanner(new OutputMeter());
        foreach (var (name, data) in events)
        {
            var bytes = Encoding.UTF8.GetBytes(data);
            if (scanner.Scan(Encoding.UTF8.GetBytes(name), bytes, out _) is { } found) input.AddNative(bytes, found.Kind, found.Traits);
        }
        foreach (var item in input.Items) native.Take(input.DataOf(item), item.Kind, item.Traits, output);
        return replay.IsCaughtUp;
    }

    private static List<string> Scan(NativeStreams streams, IEnumerable<(string Name, string Data)> events, out OutputDigest digest)
    {
        digest = new OutputDigest();
        var scanner = streams.CreateScanner(new OutputMeter { Digest = digest });
        using var batch = new EventBatch();
        foreach (var (name, data) in events) Scan(scanner, name, data, batch);
        return [.. batch.Items.Select(item => Encoding.UTF8.GetString(batch.DataOf(item)))];
    }

    private static void Scan(NativeStreamScanner scanner, string name, string data, EventBatch batch)
    {
        var bytes = Encoding.UTF8.GetBytes(data);
        foreach (var (_, one) in scanner.Normalise(Encoding.UTF8.GetBytes(name), bytes) ?? [([], bytes)])
        {
            if (scanner.Scan(Encoding.UTF8.GetBytes(name), one, out _) is { } found)
                batch.AddNative(scanner.Repaired ?? one, found.Kind, found.Traits);
        }
    }

    private static List<(string Name, string Data)> Events(string dialect, string reasoning, string text, string arguments, Random random,
        string run)
    {
        var events = dialect switch
        {
            "chat" => Chat(reasoning, text, arguments, random, run),
            "messages" => Messages(reasoning, text, arguments, random, run),
            _ => Responses(reasoning, text, arguments, random, run),
        };
        return [.. events.Select(one => (one["type"]?.GetValue<string>() ?? "", one.ToJsonString()))];
    }

    private static IEnumerable<JsonObject> Chat(string reasoning, string text, string arguments, Random random, string run)
    {
        JsonObject Chunk(JsonObject delta, string? finish = null) => new()
        {
            ["id"] = "chatcmpl-" + run, ["object"] = "chat.completion.chunk", ["created"] = 1000 + int.Parse(run, null), ["model"] = "m",
            ["choices"] = new JsonArray(new JsonObject { ["index"] = 0, ["delta"] = delta, ["finish_reason"] = finish }),
        };
        yield return Chunk(new JsonObject { ["role"] = "assistant", ["content"] = "" });
        foreach (var piece in Pieces(reasoning, random)) yield return Chunk(new JsonObject { ["reasoning_content"] = piece });
        foreach (var piece in Pieces(text, random)) yield return Chunk(new JsonObject { ["content"] = piece });
        if (arguments.Length > 0)
        {
            yield return Chunk(new JsonObject
            {
                ["tool_calls"] = new JsonArray(new JsonObject
                {
                    ["index"] = 0, ["id"] = "call_" + run, ["type"] = "function",
                    ["function"] = new JsonObject { ["name"] = "look_up", ["arguments"] = "" },
                }),
            });
        }
        foreach (var piece in Pieces(arguments, random))
        {
            yield return Chunk(new JsonObject
            {
                ["tool_calls"] = new JsonArray(new JsonObject { ["index"] = 0, ["function"] = new JsonObject { ["arguments"] = piece } }),
            });
        }
        yield return Chunk([], arguments.Length > 0 ? "tool_calls" : "stop");
        yield return new JsonObject
        {
            ["id"] = "chatcmpl-" + run, ["object"] = "chat.completion.chunk", ["created"] = 1000, ["model"] = "m", ["choices"] = new JsonArray(),
            ["usage"] = new JsonObject { ["prompt_tokens"] = 1, ["completion_tokens"] = 2, ["total_tokens"] = 3 },
        };
    }

    private static IEnumerable<JsonObject> Messages(string reasoning, string text, string arguments, Random random, string run)
    {
        yield return new JsonObject
        {
            ["type"] = "message_start",
            ["message"] = new JsonObject
            {
                ["id"] = "msg_" + run, ["type"] = "message", ["role"] = "assistant", ["model"] = "m", ["content"] = new JsonArray(),
                ["stop_reason"] = null, ["stop_sequence"] = null,
                ["usage"] = new JsonObject { ["input_tokens"] = 1, ["output_tokens"] = 1 },
            },
        };
        var index = 0;
        foreach (var (all, start, type, member) in new[]
        {
            (reasoning, """{"type":"thinking","thinking":"","signature":""}""", "thinking_delta", "thinking"),
            (text, """{"type":"text","text":""}""", "text_delta", "text"),
            (arguments, $$$"""{"type":"tool_use","id":"toolu_{{{run}}}","name":"look_up","input":{}}""", "input_json_delta", "partial_json"),
        })
        {
            if (all.Length == 0) continue;
            yield return new JsonObject { ["type"] = "content_block_start", ["index"] = index, ["content_block"] = JsonNode.Parse(start) };
            foreach (var piece in Pieces(all, random))
            {
                yield return new JsonObject
                {
                    ["type"] = "content_block_delta", ["index"] = index, ["delta"] = new JsonObject { ["type"] = type, [member] = piece },
                };
            }
            if (member == "thinking")
            {
                yield return new JsonObject
                {
                    ["type"] = "content_block_delta", ["index"] = index,
                    ["delta"] = new JsonObject { ["type"] = "signature_delta", ["signature"] = "sig" + run },
                };
            }
            yield return new JsonObject { ["type"] = "content_block_stop", ["index"] = index++ };
        }
        yield return new JsonObject
        {
            ["type"] = "message_delta",
            ["delta"] = new JsonObject { ["stop_reason"] = arguments.Length > 0 ? "tool_use" : "end_turn", ["stop_sequence"] = null },
            ["usage"] = new JsonObject { ["output_tokens"] = 5 },
        };
        yield return new JsonObject { ["type"] = "message_stop" };
    }

    private static IEnumerable<JsonObject> Responses(string reasoning, string text, string arguments, Random random, string run)
    {
        JsonObject Whole(string type, string status) => new()
        {
            ["type"] = type,
            ["response"] = new JsonObject
            {
                ["id"] = "resp_" + run, ["object"] = "response", ["created_at"] = 1, ["status"] = status, ["model"] = "m", ["output"] = new JsonArray(),
                ["usage"] = new JsonObject { ["input_tokens"] = 1, ["output_tokens"] = 2, ["total_tokens"] = 3 },
            },
        };
        yield return Whole("response.created", "in_progress");
        var at = 0;
        if (reasoning.Length > 0)
        {
            var id = "rs_" + run;
            yield return Item("response.output_item.added", at, $$"""{"id":"{{id}}","type":"reasoning","summary":[]}""");
            yield return Event("response.reasoning_summary_part.added", id, at, ("summary_index", 0), ("part", JsonNode.Parse("""{"type":"summary_text","text":""}""")));
            foreach (var piece in Pieces(reasoning, random)) yield return Event("response.reasoning_summary_text.delta", id, at, ("summary_index", 0), ("delta", piece));
            yield return Event("response.reasoning_summary_text.done", id, at, ("summary_index", 0), ("text", reasoning));
            yield return Event("response.reasoning_summary_part.done", id, at, ("summary_index", 0), ("part", new JsonObject { ["type"] = "summary_text", ["text"] = reasoning }));
            yield return Item("response.output_item.done", at++, new JsonObject { ["id"] = id, ["type"] = "reasoning", ["summary"] = new JsonArray(new JsonObject { ["type"] = "summary_text", ["text"] = reasoning }) }.ToJsonString());
        }
        if (text.Length > 0)
        {
            var id = "msg_" + run;
            yield return Item("response.output_item.added", at, $$"""{"id":"{{id}}","type":"message","role":"assistant","status":"in_progress","content":[]}""");
            yield return Event("response.content_part.added", id, at, ("content_index", 0), ("part", JsonNode.Parse("""{"type":"output_text","text":"","annotations":[],"logprobs":[]}""")));
            foreach (var piece in Pieces(text, random)) yield return Event("response.output_text.delta", id, at, ("content_index", 0), ("delta", piece), ("logprobs", new JsonArray()));
            var whole = new JsonObject { ["type"] = "output_text", ["text"] = text, ["annotations"] = new JsonArray(), ["logprobs"] = new JsonArray() };
            yield return Event("response.output_text.done", id, at, ("content_index", 0), ("text", text), ("logprobs", new JsonArray()));
            yield return Event("response.content_part.done", id, at, ("content_index", 0), ("part", whole.DeepClone()));
            yield return Item("response.output_item.done", at++, new JsonObject { ["id"] = id, ["type"] = "message", ["role"] = "assistant", ["status"] = "completed", ["content"] = new JsonArray(whole) }.ToJsonString());
        }
        if (arguments.Length > 0)
        {
            var id = "fc_" + run;
            yield return Item("response.output_item.added", at, $$"""{"id":"{{id}}","type":"function_call","call_id":"call_{{run}}","name":"look_up","arguments":"","status":"in_progress"}""");
            foreach (var piece in Pieces(arguments, random)) yield return Event("response.function_call_arguments.delta", id, at, ("delta", piece));
            yield return Event("response.function_call_arguments.done", id, at, ("name", "look_up"), ("arguments", arguments));
            yield return Item("response.output_item.done", at, new JsonObject { ["id"] = id, ["type"] = "function_call", ["call_id"] = "call_" + run, ["name"] = "look_up", ["arguments"] = arguments, ["status"] = "completed" }.ToJsonString());
        }
        yield return Whole("response.completed", "completed");
    }

    private static JsonObject Item(string type, int at, string item) =>
        new() { ["type"] = type, ["output_index"] = at, ["item"] = JsonNode.Parse(item) };

    private static JsonObject Event(string type, string id, int at, params (string Name, JsonNode? Value)[] more)
    {
        var made = new JsonObject { ["type"] = type, ["item_id"] = id, ["output_index"] = at };
        foreach (var (name, value) in more) made[name] = value;
        return made;
    }

    /// <summary>Divided between characters: halves of a character are joined before a scanner sees them.</summary>
    private static IEnumerable<string> Pieces(string text, Random random)
    {
        var runes = text.EnumerateRunes().ToArray();
        for (var at = 0; at < runes.Length;)
        {
            var length = Math.Min(random.Next(1, 5), runes.Length - at);
            yield return string.Concat(runes.Skip(at).Take(length).Select(rune => rune.ToString()));
            at += length;
        }
    }

    /// <summary>What a client builds: the names of the events without neighbours of the same name, their ids, and the texts joined.</summary>
    private static string Shown(string dialect, IEnumerable<string> events)
    {
        var shown = new StringBuilder();
        var last = "";
        // Another run may name what it adds, but always by one id.
        var ids = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var data in events)
        {
            var root = JsonNode.Parse(Ids().Replace(data, id =>
                ids.TryGetValue(id.Value, out var known) ? known : ids[id.Value] = $"id {ids.Count}"))!.AsObject();
            var (name, text) = dialect switch
            {
                "chat" => OfChat(root),
                "messages" => OfMessages(root),
                _ => OfResponses(root),
            };
            if (name != last) shown.Append('|').Append(last = name).Append(':');
            shown.Append(text);
        }
        return shown.ToString();
    }

    [GeneratedRegex("(chatcmpl-|msg_|rs_|fc_|call_|toolu_)[12]", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Ids();

    private static (string Name, string Text) OfChat(JsonObject root)
    {
        var head = $"{root["id"]}";
        if (root["choices"]!.AsArray() is not [JsonObject choice]) return ("usage " + head, root["usage"]!.ToJsonString());
        if (choice["finish_reason"] is { } reason) return ("finish " + head, reason.ToJsonString());
        var delta = choice["delta"]!.AsObject();
        if (delta["role"] is not null) return ("start " + head, delta["role"]!.ToJsonString());
        if (delta["reasoning_content"] is { } thought) return ("reasoning " + head, thought.GetValue<string>());
        if (delta["content"] is { } text) return ("text " + head, text.GetValue<string>());
        var call = delta["tool_calls"]![0]!;
        return call["id"] is { } id ? ("call " + head, id.ToJsonString()) : ("arguments " + head, call["function"]!["arguments"]!.GetValue<string>());
    }

    private static (string Name, string Text) OfMessages(JsonObject root)
    {
        var type = root["type"]!.GetValue<string>();
        if (type != "content_block_delta") return (type + root["index"], root.ToJsonString());
        var delta = root["delta"]!;
        // Its own bytes differ in every run.
        if (delta["signature"] is not null) return ("signature" + root["index"], "");
        return ($"{delta["type"]}{root["index"]}", (delta["text"] ?? delta["thinking"] ?? delta["partial_json"])!.GetValue<string>());
    }

    private static (string Name, string Text) OfResponses(JsonObject root)
    {
        var type = root["type"]!.GetValue<string>();
        if (type.EndsWith(".delta", StringComparison.Ordinal)) return ($"{type} {root["item_id"]} {root["output_index"]}", root["delta"]!.GetValue<string>());
        // The gateway writes its own around the whole response.
        if (root["response"] is not null) return (type, "");
        return (type + root["output_index"], root.ToJsonString());
    }
}
