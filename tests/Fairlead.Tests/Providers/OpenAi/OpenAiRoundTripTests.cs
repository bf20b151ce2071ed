using System.Buffers;
using System.Text;
using System.Text.Json.Nodes;
using CsCheck;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Providers.OpenAi;
using Fairlead.Tests.Dialects;

namespace Fairlead.Tests.Providers.OpenAi;

/// <summary>What is written for a provider, read again as a client's request, is the same conversation.</summary>
public sealed class OpenAiRoundTripTests
{
    private static readonly Gen<string> Words = Gen.OneOf(Gen.String[Gen.Char[' ', '~'], 1, 20], Gen.Const("\u00e9\u4e16\ud83d\ude80\n\t"), Gen.Const("\"\\/\u2028<script>"));

    private static readonly Gen<Part> UserPart = Gen.OneOf<Part>(
        Words.Select(t => (Part)new TextPart(t)),
        Gen.Const((Part)new ImagePart("https://example.com/a.png?x=1&y=2", null, null) { Detail = "low" }),
        Gen.Const((Part)new ImagePart(null, "image/png", "iVBORw0KGgo=")),
        Gen.Const((Part)new AudioPart("wav", "UklGRg==")),
        Gen.Const((Part)new FilePart { FileName = "a.pdf", MediaType = "application/pdf", Data = "JVBERi0=" }));

    private static readonly Gen<Message> Plain = Gen.OneOf(
        Words.Select(t => Message.Of(Role.System, t)),
        Words.Select(t => Message.Of(Role.Developer, t)),
        UserPart.List[1, 3].Select(parts => new Message(Role.User, parts)),
        Words.Select(t => Message.Of(Role.User, t) with { Name = "ann" }),
        Words.Select(t => Message.Of(Role.Assistant, t)),
        Words.Select(t => new Message(Role.Assistant, [new RefusalPart(t)])));

    // The next turn contains the results of the tool calls, as the real service requires.
    private static readonly Gen<Message[]> Turns = Gen.OneOf(
        Plain.Select(m => new[] { m }),
        Gen.Select(Words, Words, Gen.Int[1, 3], (said, result, count) =>
        {
            var calls = Enumerable.Range(0, count).Select(i => new ToolCallPart($"call_{i}", "look", $$"""{"q":{{i}}}""")).ToArray();
            return new[]
            {
                new Message(Role.Assistant, [new TextPart(said), .. calls]),
                new Message(Role.Tool, [.. calls.Select(c => new ToolResultPart(c.Id, [new TextPart(result)]))]),
            };
        }));

    private static readonly Gen<ConversationRequest> Requests = Gen.Select(Turns.List[0, 5], Words, Gen.Int[0, 1000], (turns, first, seed) =>
    {
        var random = new Random(seed);
        bool Coin() => random.Next(2) == 0;
        return new ConversationRequest
        {
            Messages = [Message.Of(Role.User, first), .. turns.SelectMany(t => t)],
            Tools = [new Tool("look") { Description = first, Parameters = new JsonObject { ["type"] = "object", ["properties"] = new JsonObject(), ["required"] = new JsonArray(), ["additionalProperties"] = false }, Strict = Coin() ? true : null }],
            ToolChoice = random.Next(5) switch
            {
                0 => ToolChoice.Unset,
                1 => new ToolChoice(ToolChoiceMode.None),
                2 => new ToolChoice(ToolChoiceMode.Required),
                3 => new ToolChoice(ToolChoiceMode.Named, "look"),
                _ => new ToolChoice(ToolChoiceMode.Auto) { Allowed = ["look"] },
            },
            ParallelToolCalls = Coin() ? Coin() : null,
            OutputFormat = random.Next(3) switch
            {
                0 => OutputFormat.Text,
                1 => new OutputFormat(OutputKind.Json),
                _ => new OutputFormat(OutputKind.JsonSchema) { Name = "s", Description = first, Schema = new JsonObject { ["type"] = "object", ["properties"] = new JsonObject(), ["required"] = new JsonArray(), ["additionalProperties"] = false }, Strict = true },
            },
            Sampling = new Sampling
            {
                Temperature = Coin() ? 0.3 : null,
                TopP = Coin() ? 0.9 : null,
                FrequencyPenalty = Coin() ? -1.5 : null,
                PresencePenalty = Coin() ? 2 : null,
                Seed = Coin() ? long.MaxValue : null,
                Stop = Coin() ? [first, "\n"] : [],
                Logprobs = true,
                TopLogprobs = Coin() ? 3 : null,
                LogitBias = Coin() ? new Dictionary<string, double> { ["50256"] = -100 } : null,
            },
            MaxOutputTokens = Coin() ? 77 : null,
            ChoiceCount = random.Next(1, 4),
            Reasoning = Coin() ? new Reasoning { Effort = "low" } : null,
            EndUser = Coin() ? "user-1" : null,
            Verbosity = Coin() ? "high" : null,
        };
    });

    [Fact]
    public void Request_RoundTrip_PreservesConversation() => Requests.Sample(
        request =>
        {
            var warnings = new List<string>();
            var output = new ArrayBufferWriter<byte>();
            new OpenAiChatRequestWriter(request, null, new OpenAiEndpoint(new ProviderConfig { Kind = "openai" }), (code, text) => warnings.Add(text), sameFamily: true).Write("m", stream: false, output);
            var call = DialectCalls.Of(OpenAiChatDialect.Create(), output.WrittenSpan.ToArray());
            var fault = call.Dialect.Requests.Read(call, new RequestBounds());
            Assert.True(fault is null, fault?.Message + Encoding.UTF8.GetString(output.WrittenSpan));
            Assert.Empty(warnings);
            Assert.Equal(Dump(request), Dump(call.Dialect.Conversations!.ToConversation(call)));
        },
        iter: 2000);

    // Lists in records compare by reference, so both sides are compared as text. Results of one turn may be in one message or in several.
    private static string Dump(ConversationRequest request)
    {
        var text = new StringBuilder();
        foreach (var message in request.Messages)
        {
            foreach (var part in message.Parts)
            {
                text.Append(message.Role).Append(' ').Append(message.Name).Append(' ');
                text.AppendLine(part is ToolResultPart result ? $"{result.CallId} {result.IsError} {string.Join('|', result.Content)}" : part.ToString());
            }
        }
        foreach (var tool in request.Tools) text.AppendLine($"{tool.Name} {tool.Kind} {tool.Description} {tool.Strict} {tool.Parameters?.ToJsonString()}");
        var sampling = request.Sampling;
        var format = request.OutputFormat;
        text.AppendLine($"{request.ToolChoice.Mode} {request.ToolChoice.Name} {string.Join(',', request.ToolChoice.Allowed ?? [])} {request.ParallelToolCalls}");
        text.AppendLine($"{format.Kind} {format.Name} {format.Description} {format.Schema?.ToJsonString()} {format.Strict}");
        text.AppendLine($"{sampling.Temperature} {sampling.TopP} {sampling.FrequencyPenalty} {sampling.PresencePenalty} {sampling.Seed} {string.Join('|', sampling.Stop)} {sampling.Logprobs} {sampling.TopLogprobs} {string.Join('|', sampling.LogitBias ?? new Dictionary<string, double>())}");
        text.AppendLine($"{request.MaxOutputTokens} {request.ChoiceCount} {request.Reasoning?.Effort} {request.EndUser} {request.Verbosity}");
        return text.ToString();
    }
}
