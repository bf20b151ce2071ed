using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using CsCheck;
using Fairlead.Conversation;
using Fairlead.Delivery;
using Fairlead.Dialects;
using Fairlead.Dialects.AnthropicMessages;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Dialects.OpenAiCompletions;
using Fairlead.Dialects.OpenAiResponses;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Fairlead.TokenCounting;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Delivery;

/// <summary>
/// Whatever the stream, its cuts, its pace and the size of a batch: the same text to the byte, in the same order, with every event of unknown shape as it came.
/// </summary>
public sealed class BatchingPropertyTests
{
    /// <param name="Kind">0 text, 1 reasoning, 2 and 3 arguments of two calls, 4 an event of unknown shape.</param>
    private sealed record Piece(int Choice, int Kind, string Text, bool Logprobs);

    private sealed record Read(Piece[] Pieces, int GapMs);

    /// <param name="Ahead">Whether the source buffers events while no client reads.</param>
    private sealed record Case(Read[] Reads, int Tokens, int DelayMs, bool Ahead = false);

    private static Gen<T> OneOf<T>(params T[] values) => Gen.OneOf([.. values.Select(value => Gen.Const(value))]);

    private static readonly Gen<string> Text = Gen.OneOf(
        OneOf("a", " the", "\"", "\\", "\n", "é", "😀", "{", "}", "]", "data: x\n\n", "\u2028", "\\\"", "\u0001", "", "a phrase much longer than tokens are, of some eighty bytes"),
        Gen.String[Gen.Char['\u0020', '\u00ff'], 0, 12]);

    private static readonly Gen<Case> Cases = Gen.Select(
        Gen.Select(Gen.Select(Gen.Int[0, 2], Gen.Int[0, 4], Text, Gen.Bool, (choice, kind, text, logprobs) => new Piece(choice, kind, text, logprobs)).Array[0, 6], OneOf(0, 1, 5, 19, 25, 100), (pieces, gap) => new Read(pieces, gap)).Array[1, 24],
        Gen.Int[2, 64],
        OneOf(0, 1, 20),
        Gen.Bool,
        (reads, tokens, delay, ahead) => new Case(reads, tokens, delay, ahead));

    public static TheoryData<string> Dialects => ["chat", "completions", "messages", "responses", "canonical"];

    [Theory]
    [MemberData(nameof(Dialects))]
    public async Task Batching_AnyChunkingAndBatchSize_KeepsEveryByteInOrder(string dialect) =>
        await Cases.SampleAsync(async one =>
        {
            var wire = Wire.Of(dialect);
            var before = one.Reads.SelectMany(read => read.Pieces).Select(wire.Fitting).ToList();
            var after = await RunAsync(wire, one);
            Assert.Equal(Normalise(before), Normalise(after));
        }, iter: 300);

    [Theory]
    [MemberData(nameof(Dialects))]
    public async Task Batching_SameKindDeltasInOneRead_AreMerged(string dialect)
    {
        var wire = Wire.Of(dialect);
        var pieces = Enumerable.Range(0, 9).Select(i => new Piece(0, 0, $"t{i}", false)).ToArray();
        var after = await RunAsync(wire, new Case([new Read(pieces, 0)], 4, 20));
        Assert.Equal(["t0t1t2t3", "t4t5t6t7", "t8"], after.Select(piece => piece.Text));
    }

    [Fact]
    public async Task Batching_Logprobs_StayWithTheirText()
    {
        var wire = Wire.Of("chat");
        var pieces = Enumerable.Range(0, 3).Select(i => new Piece(0, 0, $"t{i}", true)).ToArray();
        var batch = await BatchAsync(wire, new Case([new Read(pieces, 0)], 4, 20));
        var chunk = JsonNode.Parse(batch.Single())!;
        Assert.Equal("t0t1t2", chunk["choices"]![0]!["delta"]!["content"]!.GetValue<string>());
        Assert.Equal(["t0", "t1", "t2"], chunk["choices"]![0]!["logprobs"]!["content"]!.AsArray().Select(entry => entry!["token"]!.GetValue<string>()));
    }

    [Fact]
    public async Task Batching_InterleavedChoices_AreJoinedPerChoice()
    {
        var wire = Wire.Of("chat");
        var pieces = Enumerable.Range(0, 8).Select(i => new Piece(i % 2, 0, $"t{i}", false)).ToArray();
        var after = await RunAsync(wire, new Case([new Read(pieces, 0)], 4, 20));
        Assert.Equal([(0, "t0t2t4t6"), (1, "t1t3t5t7")], after.Select(piece => (piece.Choice, piece.Text)));
    }

    private static async Task<List<Piece>> RunAsync(Wire wire, Case one)
    {
        var (source, batched, time) = Make(wire, one);
        await using var owned = source;
        await using var disposed = batched;
        using var batch = new EventBatch();
        var pieces = new List<Piece>();
        while (await ReadAsync(batched, batch, time)) pieces.AddRange(batch.Items.Select(item => wire.Read(item, batch)));
        return pieces;
    }

    private static async Task<List<string>> BatchAsync(Wire wire, Case one)
    {
        var (source, batched, time) = Make(wire, one);
        await using var owned = source;
        await using var disposed = batched;
        using var batch = new EventBatch();
        var events = new List<string>();
        while (await ReadAsync(batched, batch, time))
        {
            foreach (var item in batch.Items) events.Add(Encoding.UTF8.GetString(batch.DataOf(item)));
        }
        return events;
    }

    // Time passes while the reader waits, whatever it waits for.
    private static async Task<bool> ReadAsync(BatchedEvents batched, EventBatch batch, FakeTimeProvider time)
    {
        var reading = batched.ReadAsync(batch, TestContext.Current.CancellationToken).AsTask();
        while (!reading.IsCompleted)
        {
            time.Advance(TimeSpan.FromMilliseconds(1));
            await Task.Yield();
        }
        return await reading;
    }

    private static (Source, BatchedEvents, FakeTimeProvider) Make(Wire wire, Case one)
    {
        var time = new FakeTimeProvider();
        var source = new Source(wire, one.Reads, time) { BuffersAhead = one.Ahead };
        var cancellation = new CallCancellation(null, time, CancellationToken.None, CancellationToken.None);
        return (source, new BatchedEvents(source, wire.Dialect, new BatchSettings(one.Tokens, TimeSpan.FromMilliseconds(one.DelayMs)), time, cancellation), time);
    }

    // By choice, since between choices no order is promised: what is of one kind joined, and everything of unknown shape in its place.
    private static List<string> Normalise(IReadOnlyList<Piece> pieces)
    {
        var lines = new List<string>();
        for (var choice = 0; choice <= 2; choice++)
        {
            var (kind, text) = (-1, new StringBuilder());
            foreach (var piece in pieces.Append(new Piece(choice, 9, "", false)))
            {
                if (piece.Kind < 4 && (piece.Choice != choice || (piece.Text.Length == 0 && !piece.Logprobs))) continue;
                if (piece.Kind != kind || piece.Kind >= 4)
                {
                    if (kind >= 0) lines.Add($"{choice}/{kind}: {text}");
                    (kind, text) = (piece.Kind, new StringBuilder());
                }
                text.Append(piece.Text);
            }
        }
        return lines;
    }

    /// <summary>Reads that come after their gaps, some at once and some while the reader waits.</summary>
    private sealed class Source(Wire wire, Read[] reads, FakeTimeProvider time) : IEventSource
    {
        private int _next;

        public bool BuffersAhead { get; init; }

        public async ValueTask<bool> ReadAsync(EventBatch batch, CancellationToken cancellationToken)
        {
            batch.Clear();
            if (_next == reads.Length) return false;
            var read = reads[_next++];
            if (read.GapMs > 0)
            {
                await Task.Yield();
                time.Advance(TimeSpan.FromMilliseconds(read.GapMs));
            }
            foreach (var piece in read.Pieces) wire.Write(wire.Fitting(piece), batch);
            return true;
        }

        public ValueTask DisposeAsync() => default;
    }

    /// <summary>Pieces as a dialect's events, and back.</summary>
    private abstract class Wire
    {
        private int _number;

        public abstract Dialect Dialect { get; }

        public static Wire Of(string name) => name switch
        {
            "chat" => new Chat(),
            "completions" => new Completions(),
            "messages" => new Messages(),
            "responses" => new Responses(),
            _ => new Canonical(),
        };

        /// <summary>The piece as far as the dialect can say it.</summary>
        public abstract Piece Fitting(Piece piece);

        public virtual void Write(Piece piece, EventBatch batch)
        {
            var (name, json) = Render(piece, _number++);
            var data = Encoding.UTF8.GetBytes(json);
            var scanner = Dialect.Native!.Streams!.CreateScanner(new OutputMeter());
            // Fragments belong to calls that have started.
            if (Opening is { } opening) scanner.Scan(default, Encoding.UTF8.GetBytes(opening), out _);
            var scanned = scanner.Scan(Encoding.UTF8.GetBytes(name), data, out var error);
            Assert.Null(error);
            batch.AddNative(data, scanned!.Value.Kind, scanned.Value.Traits);
        }

        protected virtual string? Opening => null;

        public virtual Piece Read(StreamItem item, EventBatch batch) => Parse(JsonNode.Parse(batch.DataOf(item))!);

        protected abstract (string Name, string Json) Render(Piece piece, int number);

        protected abstract Piece Parse(JsonNode data);

        protected static string Quote(string text) => JsonSerializer.Serialize(text);

        protected static string Padding(int number) => $"\"obfuscation\":\"{new string('x', number % 5)}\"";
    }

    private sealed class Chat : Wire
    {
        public override Dialect Dialect { get; } = OpenAiChatDialect.Create();

        protected override string? Opening => """{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f"}},{"index":1,"id":"b","function":{"name":"g"}}]}}]}""";

        public override Piece Fitting(Piece piece) => piece with { Logprobs = piece is { Logprobs: true, Kind: 0, Text.Length: > 0 } };

        protected override (string, string) Render(Piece piece, int number)
        {
            var delta = piece.Kind switch
            {
                0 => $"\"content\":{Quote(piece.Text)}",
                1 => $"\"reasoning_content\":{Quote(piece.Text)}",
                2 or 3 => $"\"tool_calls\":[{{\"index\":{piece.Kind - 2},\"function\":{{\"arguments\":{Quote(piece.Text)}}}}}]",
                _ => $"\"x_unknown\":{Quote(piece.Text)}",
            };
            var logprobs = piece.Logprobs ? $$"""{"content":[{"token":{{Quote(piece.Text)}},"logprob":-0.5,"bytes":[1,2],"top_logprobs":[]}],"refusal":null}""" : "null";
            return ("", $$$"""{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":{{{piece.Choice}}},"delta":{{{{delta}}}},"logprobs":{{{logprobs}}},"finish_reason":null}],"usage":null,{{{Padding(number)}}}}""");
        }

        protected override Piece Parse(JsonNode data)
        {
            var choice = data["choices"]![0]!;
            var delta = choice["delta"]!;
            var logprobs = choice["logprobs"]?["content"] is JsonArray entries;
            if (logprobs) Assert.Equal(delta["content"]!.GetValue<string>(), string.Concat(choice["logprobs"]!["content"]!.AsArray().Select(entry => entry!["token"]!.GetValue<string>())));
            var index = choice["index"]!.GetValue<int>();
            if (delta["content"] is { } content) return new Piece(index, 0, content.GetValue<string>(), logprobs);
            if (delta["reasoning_content"] is { } reasoning) return new Piece(index, 1, reasoning.GetValue<string>(), false);
            if (delta["tool_calls"] is { } calls) return new Piece(index, 2 + calls[0]!["index"]!.GetValue<int>(), calls[0]!["function"]!["arguments"]!.GetValue<string>(), false);
            return new Piece(index, 4, delta["x_unknown"]!.GetValue<string>(), false);
        }
    }

    private sealed class Completions : Wire
    {
        public override Dialect Dialect { get; } = OpenAiCompletionsDialect.Create();

        public override Piece Fitting(Piece piece) => piece with { Kind = piece.Kind == 4 ? 4 : 0, Logprobs = false };

        protected override (string, string) Render(Piece piece, int number) => ("", piece.Kind == 4
            ? $$"""{"id":"c","choices":[{"index":{{piece.Choice}},"x_unknown":{{Quote(piece.Text)}},"finish_reason":null}]}"""
            : $$"""{"id":"c","choices":[{"text":{{Quote(piece.Text)}},"index":{{piece.Choice}},"logprobs":{"tokens":[{{Quote(piece.Text)}}],"token_logprobs":[-0.5],"text_offset":[{{number}}]},"finish_reason":null}],"model":"m"}""");

        protected override Piece Parse(JsonNode data)
        {
            var choice = data["choices"]![0]!;
            var index = choice["index"]!.GetValue<int>();
            if (choice["x_unknown"] is { } unknown) return new Piece(index, 4, unknown.GetValue<string>(), false);
            var text = choice["text"]!.GetValue<string>();
            Assert.Equal(text, string.Concat(choice["logprobs"]!["tokens"]!.AsArray().Select(token => token!.GetValue<string>())));
            Assert.Equal(choice["logprobs"]!["tokens"]!.AsArray().Count, choice["logprobs"]!["token_logprobs"]!.AsArray().Count);
            return new Piece(index, 0, text, false);
        }
    }

    private sealed class Messages : Wire
    {
        private static readonly string[] Members = ["text", "thinking", "partial_json", "partial_json", "signature"];
        private static readonly string[] Types = ["text_delta", "thinking_delta", "input_json_delta", "input_json_delta", "signature_delta"];

        public override Dialect Dialect { get; } = MessagesDialect.Create();

        public override Piece Fitting(Piece piece) => piece with { Choice = 0, Logprobs = false };

        protected override (string, string) Render(Piece piece, int number) => ("content_block_delta",
            $$"""{"type":"content_block_delta","index":{{piece.Kind}},"delta":{"type":"{{Types[piece.Kind]}}","{{Members[piece.Kind]}}":{{Quote(piece.Text)}} } }""");

        protected override Piece Parse(JsonNode data)
        {
            var kind = data["index"]!.GetValue<int>();
            return new Piece(0, kind, data["delta"]![Members[kind]]!.GetValue<string>(), false);
        }
    }

    private sealed class Responses : Wire
    {
        private static readonly string[] Types =
            ["response.output_text.delta", "response.reasoning_summary_text.delta", "response.function_call_arguments.delta", "response.function_call_arguments.delta", "response.acme.delta"];

        public override Dialect Dialect { get; } = ResponsesDialect.Create();

        public override Piece Fitting(Piece piece) => piece with { Choice = 0, Logprobs = false };

        protected override (string, string) Render(Piece piece, int number) => (Types[piece.Kind],
            $$"""{"type":"{{Types[piece.Kind]}}","item_id":"i{{piece.Kind}}","output_index":{{piece.Kind}},"delta":{{Quote(piece.Text)}},"logprobs":[],"sequence_number":{{number}},{{Padding(number)}} }""");

        protected override Piece Parse(JsonNode data) => new(0, data["output_index"]!.GetValue<int>(), data["delta"]!.GetValue<string>(), false);
    }

    private sealed class Canonical : Wire
    {
        public override Dialect Dialect { get; } = OpenAiChatDialect.Create();

        public override Piece Fitting(Piece piece) => piece with { Logprobs = piece is { Logprobs: true, Kind: 0 } };

        public override void Write(Piece piece, EventBatch batch) => batch.Add(piece.Kind switch
        {
            0 => new TextDelta(piece.Text) { Choice = piece.Choice, Logprobs = piece.Logprobs ? [new TokenLogprob(piece.Text, -0.5, [])] : null },
            1 => new ReasoningDelta(piece.Text) { Choice = piece.Choice },
            2 or 3 => new ToolCallDelta(piece.Kind - 2, piece.Text) { Choice = piece.Choice },
            _ => new ReasoningDelta("") { Choice = piece.Choice, Signature = piece.Text },
        });

        public override Piece Read(StreamItem item, EventBatch batch)
        {
            switch (item.Event)
            {
                case TextDelta text:
                    if (text.Logprobs is not null) Assert.Equal(text.Text, string.Concat(text.Logprobs.Select(entry => entry.Token)));
                    return new Piece(text.Choice, 0, text.Text, text.Logprobs is not null);
                case ReasoningDelta { Signature: { } signature } reasoning: return new Piece(reasoning.Choice, 4, signature, false);
                case ReasoningDelta reasoning: return new Piece(reasoning.Choice, 1, reasoning.Text, false);
                case ToolCallDelta call: return new Piece(call.Choice, 2 + call.Index, call.Arguments, false);
                default: throw new InvalidOperationException();
            }
        }

        protected override (string Name, string Json) Render(Piece piece, int number) => throw new NotSupportedException();

        protected override Piece Parse(JsonNode data) => throw new NotSupportedException();
    }
}
