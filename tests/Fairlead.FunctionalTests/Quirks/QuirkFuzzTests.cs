using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Quirks;

/// <summary>
/// Servers with a random combination of quirks that are repaired. Whatever they combine: no 5xx, no lost text, no charge of zero for delivered text, and
/// every stream ends explicitly (the strict readers check that).
/// </summary>
public sealed class QuirkFuzzTests(QuirkWorld world) : IClassFixture<QuirkWorld>
{
    private const int Rounds = 60;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public async Task Response_WithRandomQuirks_ArrivesComplete(int seed)
    {
        var random = new Random(seed);
        for (var round = 0; round < Rounds; round++)
        {
            var place = $"seed {seed}, round {round}";
            var server = new QuirkyServer(random);
            var dialect = QuirkWorld.Dialects[random.Next(QuirkWorld.Dialects.Length)];
            var stream = random.Next(3) > 0;
            var reply = server.Reply(stream);
            world.Upstream.Answer = reply.SendAsync;
            QuirkSeen seen;
            try
            {
                seen = await world.AskAsync("chat", dialect, stream, 1, Cancel);
            }
            catch (Exception exception) when (exception is not OperationCanceledException)
            {
                Assert.Fail($"{place} ({dialect}, {server.Quirks}): {exception.Message}\n{Encoding.UTF8.GetString(reply.Body)}");
                return;
            }
            var told = $"{place} ({dialect} {(stream ? "streamed" : "whole")}, {server.Quirks}): {seen.Status} {seen.Raw}\nsent {Encoding.UTF8.GetString(reply.Body)}";
            Assert.True(seen.Status == 200, told);
            Assert.True(seen.Text == server.Text, told);
            Assert.True(seen.Calls.SequenceEqual(server.Calls), told);
            Assert.True(seen.Finish == server.Finish, told);
            Assert.True(CostOf(dialect, stream, seen.Raw) > 0, told);
        }
    }

    /// <summary>The same servers, whose connection ends anywhere: what is reported as complete is complete, and what is not says so.</summary>
    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    public async Task Response_WithRandomQuirksTruncated_IsNeverReportedComplete(int seed)
    {
        var random = new Random(seed);
        for (var round = 0; round < Rounds; round++)
        {
            var server = new QuirkyServer(random, earlyFinish: false);
            var dialect = QuirkWorld.Dialects[random.Next(QuirkWorld.Dialects.Length)];
            var stream = random.Next(3) > 0;
            var reply = server.Reply(stream, isCut: true);
            var place = $"seed {seed}, round {round} ({dialect} {(stream ? "streamed" : "whole")}, {server.Quirks})";
            world.Upstream.Answer = reply.SendAsync;
            QuirkSeen seen;
            try
            {
                seen = await world.AskAsync("chat", dialect, stream, 1, Cancel);
            }
            catch (Exception exception) when (exception is not OperationCanceledException)
            {
                Assert.Fail($"{place}: {exception.Message}\n{Encoding.UTF8.GetString(reply.Body)}");
                return;
            }
            var told = $"{place}: {seen.Status} {seen.Raw}\nsent {Encoding.UTF8.GetString(reply.Body)}";
            Assert.True(seen.Status == 200 || seen.Raw.Contains("\"provider_", StringComparison.Ordinal), told);
            if (seen.Finish == "failed")
            {
                // Half of a character at the cut becomes U+FFFD.
                Assert.True(server.Text.StartsWith(seen.Text.TrimEnd('\uFFFD'), StringComparison.Ordinal), told);
                continue;
            }
            Assert.True(seen.Text == server.Text, told);
            Assert.True(seen.Calls.SequenceEqual(server.Calls), told);
            Assert.True(seen.Finish == server.Finish, told);
            Assert.True(CostOf(dialect, stream, seen.Raw) > 0, told);
        }
    }

    /// <summary>Servers of the other interfaces, whole and cut anywhere.</summary>
    [Theory]
    [InlineData("messages", 31)]
    [InlineData("messages", 32)]
    [InlineData("gemini", 33)]
    [InlineData("gemini", 34)]
    [InlineData("responses", 35)]
    [InlineData("responses", 36)]
    [InlineData("responses", 37)]
    public async Task Response_OtherDialectWithRandomQuirks_IsCompleteOrReportedTruncated(string kind, int seed)
    {
        var random = new Random(seed);
        for (var round = 0; round < Rounds; round++)
        {
            var isCut = round % 3 == 2;
            var server = OtherServer.Make(kind, random);
            var dialect = kind == "responses" ? kind : QuirkWorld.Dialects[random.Next(QuirkWorld.Dialects.Length)];
            var stream = random.Next(3) > 0;
            var reply = server.Reply(stream, isCut);
            var place = $"{kind}, seed {seed}, round {round} ({dialect} {(stream ? "streamed" : "whole")}{(isCut ? ", cut" : "")}, {server.Quirks})";
            world.Upstream.Answer = reply.SendAsync;
            QuirkSeen seen;
            try
            {
                seen = await world.AskAsync(kind, dialect, stream, 1, Cancel);
            }
            catch (Exception exception) when (exception is not OperationCanceledException)
            {
                Assert.Fail($"{place}: {exception.Message}\n{Encoding.UTF8.GetString(reply.Body)}");
                return;
            }
            var told = $"{place}: {seen.Status} {seen.Raw}\nsent {Encoding.UTF8.GetString(reply.Body)}";
            if (isCut && seen.Finish == "failed")
            {
                Assert.True(seen.Status == 200 || seen.Raw.Contains("\"provider_", StringComparison.Ordinal), told);
                Assert.True(server.Text.StartsWith(seen.Text.TrimEnd('\uFFFD'), StringComparison.Ordinal), told);
                continue;
            }
            Assert.True(seen.Status == 200, told);
            Assert.True(seen.Text == server.Text, told);
            Assert.True(seen.Calls.SequenceEqual(server.Calls), told);
            Assert.True(seen.Finish == server.Finish, told);
            Assert.True(CostOf(dialect, stream, seen.Raw) > 0, told);
        }
    }

    /// <summary>Text completions, which have a frame of their own, or get that of a chat.</summary>
    [Theory]
    [InlineData(21)]
    public async Task Completion_RandomProviderQuirks_ArrivesComplete(int seed)
    {
        var random = new Random(seed);
        for (var round = 0; round < Rounds; round++)
        {
            var server = new QuirkyServer(random, calls: false);
            var stream = random.Next(3) > 0;
            var reply = server.Reply(stream, asText: random.Next(4) > 0);
            world.Upstream.Answer = reply.SendAsync;
            using var content = new StringContent($$"""{"model":"chat","prompt":"hi","max_tokens":50,"stream":{{(stream ? "true" : "false")}}}""", Encoding.UTF8, "application/json");
            using var response = await world.Gateway.Client.PostAsync(new Uri("/v1/completions", UriKind.Relative), content, Cancel);
            var raw = await response.Content.ReadAsStringAsync(Cancel);
            var told = $"seed {seed}, round {round} ({(stream ? "streamed" : "whole")}, {server.Quirks}): {(int)response.StatusCode} {raw}\nsent {Encoding.UTF8.GetString(reply.Body)}";
            Assert.True((int)response.StatusCode == 200, told);
            string[] bodies = [raw];
            if (stream)
            {
                var events = raw.Split('\n').Where(line => line.StartsWith("data: ", StringComparison.Ordinal)).Select(line => line[6..]).ToArray();
                Assert.True(events[^1] == "[DONE]", told);
                bodies = events[..^1];
            }
            var text = new StringBuilder();
            var finishes = new List<string>();
            foreach (var choice in bodies.SelectMany(body => JsonDocument.Parse(body).RootElement.GetProperty("choices").EnumerateArray()))
            {
                text.Append(choice.GetProperty("text").GetString());
                if (choice.GetProperty("finish_reason").GetString() is { } finish) finishes.Add(finish);
            }
            Assert.True(text.ToString() == server.Text, told);
            Assert.True(finishes.SequenceEqual([server.Finish]), told);
            Assert.True(CostOf("completions", stream, raw) > 0, told);
        }
    }

    private static double CostOf(string dialect, bool stream, string raw)
    {
        // The last object that contains the cost.
        var at = raw.LastIndexOf("\"cost\":", StringComparison.Ordinal);
        Assert.True(at >= 0, $"{dialect} {stream}: {raw}");
        var reader = new Utf8JsonReader(Encoding.UTF8.GetBytes(raw[(at + 7)..]), isFinalBlock: false, default);
        Assert.True(JsonDocument.TryParseValue(ref reader, out var cost));
        return cost!.RootElement.GetProperty("usd").GetDouble();
    }

    /// <summary>Writes one response with what its dice say.</summary>
    private sealed class QuirkyServer
    {
        private static readonly string[] Words = ["Hello", " ", "\U0001F600", "wörld", " \n", "\"quoted\"", "漢字", "!"];

        private readonly Random _random;
        private readonly HashSet<string> _quirks = new(StringComparer.Ordinal);
        private readonly List<string> _pieces = [];

        private bool _asText;

        public QuirkyServer(Random random, bool calls = true, bool earlyFinish = true)
        {
            _random = random;
            foreach (var quirk in (string[])["no-role", "no-index", "no-id", "no-created", "text-created", "no-model", "id-changes", "no-type", "no-call-id", "object-arguments", "no-call-index", "same-call-index", "name-repeated", "empty-finish", "foreign-finish", "finish-twice", "finish-with-content", "no-done", "done-twice", "no-usage", "null-usage", "halves", "escapes", "crlf", "comments", "pings", "no-space", "gzip", "pieces", "other-form", "wrong-label", "parts", "stop-with-calls", "new-call-ids", "single-choice", "lines", "zlib", "bom", "early-finish"])
            {
                if (random.Next(5) == 0) _quirks.Add(quirk);
            }
            if (!earlyFinish) _quirks.Remove("early-finish");
            for (var i = random.Next(1, 6); i > 0; i--) _pieces.Add(Words[random.Next(Words.Length)]);
            Text = string.Concat(_pieces);
            for (var i = calls ? random.Next(3) : 0; i > 0; i--) Calls.Add((Calls.Count == 0 ? "get" : "set", $$"""{"n":{{random.Next(100).ToString(CultureInfo.InvariantCulture)}}}"""));
            Finish = Calls.Count > 0 ? "tool_calls" : random.Next(4) == 0 ? "length" : "stop";
        }

        public string Text { get; }

        public List<(string Name, string Arguments)> Calls { get; } = [];

        public string Finish { get; }

        public string Quirks => string.Join(' ', _quirks);

        public QuirkReply Reply(bool stream, bool isCut = false, bool asText = false)
        {
            _asText = asText;
            var asStream = Has("other-form") ? !stream : stream;
            var body = asStream ? Events() : Write(Whole());
            var bytes = QuirkReply.Utf8(Has("bom") ? "\uFEFF" + body : body);
            if (isCut) bytes = bytes[.._random.Next(bytes.Length)];
            var label = asStream ? "text/event-stream" : "application/json";
            if (Has("wrong-label")) label = asStream ? "application/json" : "text/event-stream";
            if (Has("gzip"))
            {
                using var output = new MemoryStream();
                using (var gzip = new System.IO.Compression.GZipStream(output, System.IO.Compression.CompressionLevel.Fastest, leaveOpen: true)) gzip.Write(bytes);
                bytes = output.ToArray();
            }
            else if (Has("zlib"))
            {
                using var output = new MemoryStream();
                using (var zlib = new System.IO.Compression.ZLibStream(output, System.IO.Compression.CompressionLevel.Fastest, leaveOpen: true)) zlib.Write(bytes);
                bytes = output.ToArray();
            }
            return new QuirkReply(bytes, label, Has("gzip") && _random.Next(2) == 0 ? "gzip" : null) { PieceBytes = Has("pieces") ? _random.Next(1, 50) : 0 };
        }

        private static JsonNode ChoiceOf(JsonObject chunk) => chunk["choices"] is JsonArray list ? list[0]! : chunk["choices"]!;

        private bool Has(string quirk) => _quirks.Contains(quirk);

        private string Events()
        {
            var chunks = new List<JsonObject>();
            foreach (var piece in _pieces.SelectMany(piece => Has("halves") && piece == "\U0001F600" ? ["@high@", "@low@"] : new[] { piece })) chunks.Add(Chunk(new JsonObject { ["content"] = Has("parts") ? new JsonArray(new JsonObject { ["type"] = "text", ["text"] = piece }) : piece }));
            for (var i = 0; i < Calls.Count; i++)
            {
                var (name, arguments) = Calls[i];
                var whole = Has("object-arguments") || Has("no-call-index") || Has("same-call-index");
                chunks.Add(CallChunk(i, name, whole ? Has("object-arguments") ? JsonNode.Parse(arguments)! : arguments : arguments[..3], first: true));
                if (!whole) chunks.Add(CallChunk(i, Has("name-repeated") ? name : null, arguments[3..], first: false));
            }
            if (!Has("no-role")) ChoiceOf(chunks[0])["delta"]?["role"] = "assistant";
            var reason = Reason();
            if (Has("early-finish") && Calls.Count == 0) chunks.Insert(chunks.Count - 1, Chunk([], reason));
            else if (Has("finish-with-content")) ChoiceOf(chunks[^1])["finish_reason"] = reason;
            else chunks.Add(Chunk([], reason));
            if (Has("finish-twice")) chunks.Add(Chunk([], reason));
            if (!Has("no-usage"))
            {
                var usage = Chunk([]);
                usage["choices"] = new JsonArray();
                usage["usage"] = Has("null-usage") ? null : Usage();
                chunks.Add(usage);
            }
            var text = new StringBuilder();
            if (Has("lines")) return string.Join(Has("crlf") ? "\r\n" : "\n", chunks.Select(Write)).Replace("@high@", "\\ud83d", StringComparison.Ordinal).Replace("@low@", "\\ude00", StringComparison.Ordinal);
            foreach (var chunk in chunks)
            {
                if (Has("comments") && _random.Next(2) == 0) text.Append(": comment\n\n");
                if (Has("pings") && _random.Next(2) == 0) text.Append("data: {\"type\":\"ping\"}\n\n");
                text.Append(Has("no-space") ? "data:" : "data: ").Append(Write(chunk)).Append("\n\n");
            }
            if (!Has("no-done")) text.Append("data: [DONE]\n\n");
            if (!Has("no-done") && Has("done-twice")) text.Append("data: [DONE]\n\n");
            text.Replace("@high@", "\\ud83d").Replace("@low@", "\\ude00");
            return Has("crlf") ? text.Replace("\n", "\r\n").ToString() : text.ToString();
        }

        private JsonObject Whole()
        {
            var message = new JsonObject { ["content"] = Has("parts") ? new JsonArray(new JsonObject { ["type"] = "text", ["text"] = Text }) : Text };
            if (!Has("no-role")) message["role"] = "assistant";
            if (Calls.Count > 0)
            {
                message["tool_calls"] = new JsonArray([.. Calls.Select((call, i) =>
                {
                    var node = Call(i, call.Name, Has("object-arguments") ? JsonNode.Parse(call.Arguments)! : call.Arguments, first: true);
                    node.Remove("index");
                    return (JsonNode)node;
                })]);
            }
            var root = Envelope("chat.completion");
            var choice = new JsonObject { ["message"] = message, ["finish_reason"] = Reason() };
            if (_asText) choice = new JsonObject { ["text"] = Text, ["finish_reason"] = Reason() };
            if (!Has("no-index")) choice["index"] = 0;
            root["choices"] = Has("single-choice") ? choice : new JsonArray(choice);
            if (!Has("no-usage")) root["usage"] = Has("null-usage") ? null : Usage();
            return root;
        }

        private static JsonObject Usage() => new() { ["prompt_tokens"] = 11, ["completion_tokens"] = 3, ["total_tokens"] = 14 };

        private string Reason() => Has("stop-with-calls") && Finish == "tool_calls" ? "stop" : Has("foreign-finish") ? Finish switch
        {
            "length" => "max_tokens",
            "tool_calls" => "tool_use",
            _ => "eos_token",
        } : Finish;

        private JsonObject CallChunk(int index, string? name, JsonNode arguments, bool first) => Chunk(new JsonObject { ["tool_calls"] = new JsonArray(Call(index, name, arguments, first)) });

        private JsonObject Call(int index, string? name, JsonNode arguments, bool first)
        {
            var function = new JsonObject();
            if (name is not null) function["name"] = name;
            function["arguments"] = arguments;
            var call = new JsonObject();
            if (!Has("no-call-index")) call["index"] = Has("same-call-index") ? 0 : index;
            if (!first && Has("new-call-ids") && !Has("no-call-id") && !Has("name-repeated")) call["id"] = $"call-{index.ToString(CultureInfo.InvariantCulture)}-more";
            if (first && !Has("no-call-id")) call["id"] = $"call-{index.ToString(CultureInfo.InvariantCulture)}";
            if (first && !Has("no-type")) call["type"] = "function";
            call["function"] = function;
            return call;
        }

        private JsonObject Chunk(JsonObject delta, string? reason = null)
        {
            var root = Envelope("chat.completion.chunk");
            var choice = new JsonObject { ["delta"] = delta, ["finish_reason"] = reason ?? (Has("empty-finish") ? "" : null) };
            if (_asText)
            {
                choice.Remove("delta");
                choice["text"] = delta["content"] switch
                {
                    JsonArray parts => parts[0]!["text"]!.DeepClone(),
                    { } piece => piece.DeepClone(),
                    null => "",
                };
            }
            if (!Has("no-index")) choice["index"] = 0;
            root["choices"] = Has("single-choice") ? choice : new JsonArray(choice);
            return root;
        }

        private JsonObject Envelope(string name)
        {
            var root = new JsonObject { ["object"] = name };
            if (!Has("no-id")) root["id"] = Has("id-changes") ? $"c-{_random.Next(1000).ToString(CultureInfo.InvariantCulture)}" : "c-1";
            if (!Has("no-created")) root["created"] = Has("text-created") ? "1700000000" : 1700000000;
            if (_asText) root["object"] = "text_completion";
            if (!Has("no-model")) root["model"] = "up-1";
            return root;
        }

        private string Write(JsonObject root)
        {
            var options = Has("escapes") ? JsonSerializerOptions.Default : new JsonSerializerOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
            return root.ToJsonString(options);
        }
    }
}
