using System.ClientModel;
using System.Text;
using System.Text.Json;
using Anthropic;
using Anthropic.Models.Messages;
using Fairlead.FunctionalTests.Fidelity;
using OpenAI.Chat;

namespace Fairlead.FunctionalTests.Clients;

#pragma warning disable OPENAI001 // The client's own marks for what OpenAI may still change: files and reasoning effort.

/// <summary>
/// Official clients of one dialect on providers of another, with everything beyond plain text: images, files, structured output, parallel tools, reasoning; whole and
/// streamed. The providers return the golden files of <see cref="ResponseTranslationTests"/>.
/// </summary>
public sealed class CrossDialectContentTests(TranslationFixture fixture) : IClassFixture<TranslationFixture>
{
    private const string Png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    private const string Schema = """{"type":"object","properties":{"city":{"type":"string"},"mild":{"type":"boolean"}},"required":["city","mild"],"additionalProperties":false}""";
    private const string CitySchema = """{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}""";
    private const string EmptySchema = """{"type":"object","properties":{}}""";

    private static readonly string Pdf = Convert.ToBase64String(Encoding.ASCII.GetBytes("%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"));

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<string, bool> ForOpenAi => new() { { "anthropic", false }, { "anthropic", true }, { "gemini", false }, { "gemini", true } };

    [Theory]
    [MemberData(nameof(ForOpenAi))]
    public async Task OpenAi_ImagesAndFiles_ReachProviderInItsFormat(string provider, bool streams)
    {
        fixture.Serve("finish-stop", provider);
        var message = new UserChatMessage(
            ChatMessageContentPart.CreateTextPart("What is this?"),
            ChatMessageContentPart.CreateImagePart(BinaryData.FromBytes(Convert.FromBase64String(Png)), "image/png"),
            ChatMessageContentPart.CreateFilePart(BinaryData.FromBytes(Convert.FromBase64String(Pdf)), "application/pdf", "paper.pdf"));
        var seen = await SeenChat.AskAsync(OpenAi(provider), [message], new ChatCompletionOptions(), streams, Token);
        Assert.Equal("Grüße aus Oslo 🌊", seen.Text.ToString());
        if (provider == "anthropic")
        {
            var content = fixture.Asked.GetProperty("messages")[0].GetProperty("content");
            Assert.Equal(["text", "image", "document"], content.EnumerateArray().Select(block => block.GetProperty("type").GetString()));
            AssertSource(content[1].GetProperty("source"), "media_type", "image/png", Png);
            AssertSource(content[2].GetProperty("source"), "media_type", "application/pdf", Pdf);
        }
        else
        {
            var parts = fixture.Asked.GetProperty("contents")[0].GetProperty("parts");
            Assert.Equal("What is this?", parts[0].GetProperty("text").GetString());
            AssertSource(parts[1].GetProperty("inlineData"), "mimeType", "image/png", Png);
            AssertSource(parts[2].GetProperty("inlineData"), "mimeType", "application/pdf", Pdf);
        }
    }

    [Theory]
    [MemberData(nameof(ForOpenAi))]
    public async Task OpenAi_StructuredOutput_MatchesSchema(string provider, bool streams)
    {
        fixture.Serve("structured", provider);
        var options = new ChatCompletionOptions { ResponseFormat = ChatResponseFormat.CreateJsonSchemaFormat("place", BinaryData.FromString(Schema), jsonSchemaIsStrict: true) };
        var seen = await SeenChat.AskAsync(OpenAi(provider), [new UserChatMessage("Where?")], options, streams, Token);
        AssertPlace(seen.Text.ToString());
        var schema = provider == "anthropic"
            ? fixture.Asked.GetProperty("output_config").GetProperty("format").GetProperty("schema")
            : fixture.Asked.GetProperty("generationConfig").GetProperty("responseJsonSchema");
        Assert.Equal("boolean", schema.GetProperty("properties").GetProperty("mild").GetProperty("type").GetString());
    }

    [Theory]
    [MemberData(nameof(ForOpenAi))]
    public async Task OpenAi_ParallelToolCalls_AreCalledAndAnsweredTogether(string provider, bool streams)
    {
        fixture.Serve("tool-calls", provider);
        var options = new ChatCompletionOptions
        {
            Tools =
            {
                ChatTool.CreateFunctionTool("get_weather", "The weather", BinaryData.FromString(CitySchema)),
                ChatTool.CreateFunctionTool("get_time", "The time", BinaryData.FromString(EmptySchema)),
            },
            AllowParallelToolCalls = true,
        };
        var seen = await SeenChat.AskAsync(OpenAi(provider), [new UserChatMessage("Weather and time?")], options, streams, Token);
        Assert.Equal(ChatFinishReason.ToolCalls, seen.Finish);
        Assert.Equal(["get_weather", "get_time"], seen.Calls.Select(call => call.FunctionName));
        Assert.Equal(2, seen.Calls.Select(call => call.Id).Distinct().Count());
        using (var arguments = JsonDocument.Parse(seen.Calls[0].FunctionArguments)) Assert.Equal("Oslo", arguments.RootElement.GetProperty("city").GetString());

        fixture.Serve("finish-stop", provider);
        var after = await SeenChat.AskAsync(
            OpenAi(provider),
            [new UserChatMessage("Weather and time?"), new AssistantChatMessage(seen.Calls), new ToolChatMessage(seen.Calls[0].Id, "sunny"), new ToolChatMessage(seen.Calls[1].Id, "noon")],
            options,
            streams,
            Token);
        Assert.Equal(ChatFinishReason.Stop, after.Finish);
        if (provider == "anthropic")
        {
            var turns = fixture.Asked.GetProperty("messages");
            Assert.Equal(3, turns.GetArrayLength());
            Assert.Equal(Ids(turns[1].GetProperty("content"), "id"), Ids(turns[2].GetProperty("content"), "tool_use_id"));
            Assert.Equal(seen.Calls.Select(call => call.Id), Ids(turns[2].GetProperty("content"), "tool_use_id"));
        }
        else
        {
            var turns = fixture.Asked.GetProperty("contents");
            Assert.Equal(3, turns.GetArrayLength());
            Assert.Equal(["get_weather", "get_time"], turns[2].GetProperty("parts").EnumerateArray().Select(part => part.GetProperty("functionResponse").GetProperty("name").GetString()));
        }
    }

    [Theory]
    [MemberData(nameof(ForOpenAi))]
    public async Task OpenAi_Reasoning_IsRequestedAndReturned(string provider, bool streams)
    {
        fixture.Serve("reasoning", provider);
        var seen = await SeenChat.AskAsync(OpenAi(provider), [new UserChatMessage("Think.")], new ChatCompletionOptions { ReasoningEffortLevel = ChatReasoningEffortLevel.High }, streams, Token);
        Assert.Equal(("Think first.", "Grüße aus Oslo 🌊"), (seen.Reasoning.ToString(), seen.Text.ToString()));
        Assert.Equal(5, seen.Usage!.OutputTokenDetails.ReasoningTokenCount);
        Assert.True(provider == "anthropic"
            ? fixture.Asked.GetProperty("thinking").GetProperty("type").GetString() is "adaptive" or "enabled"
            : fixture.Asked.GetProperty("generationConfig").GetProperty("thinkingConfig").GetProperty("thinkingBudget").GetInt32() > 0);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Anthropic_ImagesAndFiles_AreTranslatedForProvider(bool streams)
    {
        fixture.Serve("finish-stop", "openai");
        var seen = await AskAsync(
            streams,
            Ask(
                new TextBlockParam("What is this?"),
                new ImageBlockParam(new Base64ImageSource { Data = Png, MediaType = MediaType.ImagePng }),
                new ImageBlockParam(new UrlImageSource("https://pictures.example/cat.png")),
                new DocumentBlockParam(new Base64PdfSource(Pdf)) { Title = "paper.pdf" }));
        Assert.Equal("Grüße aus Oslo 🌊", seen.Text.ToString());
        var content = fixture.Asked.GetProperty("messages")[0].GetProperty("content");
        Assert.Equal(["text", "image_url", "image_url", "file"], content.EnumerateArray().Select(part => part.GetProperty("type").GetString()));
        Assert.Equal($"data:image/png;base64,{Png}", content[1].GetProperty("image_url").GetProperty("url").GetString());
        Assert.Equal("https://pictures.example/cat.png", content[2].GetProperty("image_url").GetProperty("url").GetString());
        Assert.Equal($"data:application/pdf;base64,{Pdf}", content[3].GetProperty("file").GetProperty("file_data").GetString());
        Assert.Equal("paper.pdf", content[3].GetProperty("file").GetProperty("filename").GetString());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Anthropic_StructuredOutput_MatchesSchema(bool streams)
    {
        fixture.Serve("structured", "openai");
        var seen = await AskAsync(streams, Ask(new TextBlockParam("Where?")) with { OutputConfig = new OutputConfig { Format = new JsonOutputFormat { Schema = Members(Schema) } } });
        AssertPlace(seen.Text.ToString());
        var format = fixture.Asked.GetProperty("response_format");
        Assert.Equal("json_schema", format.GetProperty("type").GetString());
        Assert.Equal("boolean", format.GetProperty("json_schema").GetProperty("schema").GetProperty("properties").GetProperty("mild").GetProperty("type").GetString());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Anthropic_ParallelTools_AreCalledAndResolvedTogether(bool streams)
    {
        fixture.Serve("tool-calls", "openai");
        var asking = Ask(new TextBlockParam("Weather and time?")) with
        {
            Tools =
            [
                new Tool { Name = "get_weather", InputSchema = new InputSchema { Properties = Members("""{"city":{"type":"string"}}"""), Required = ["city"] } },
                new Tool { Name = "get_time", InputSchema = new InputSchema { Properties = new Dictionary<string, JsonElement>() } },
            ],
        };
        var seen = await AskAsync(streams, asking);
        Assert.Equal(StopReason.ToolUse, seen.StopReason);
        Assert.Equal(["get_weather", "get_time"], seen.Tools.Select(use => use.Name));
        Assert.Equal(["""{"city":"Oslo"}""", "{}"], seen.Inputs.Select(input => input.ToString()));

        fixture.Serve("finish-stop", "openai");
        var used = seen.Tools.Zip(seen.Inputs, (use, input) => (ContentBlockParam)new ToolUseBlockParam { ID = use.ID, Name = use.Name, Input = Members(input.ToString()) }).ToList();
        var results = new List<ContentBlockParam> { new ToolResultBlockParam(seen.Tools[0].ID) { Content = "sunny" }, new ToolResultBlockParam(seen.Tools[1].ID) { Content = "noon" } };
        var after = await AskAsync(streams, asking with { Messages = [.. asking.Messages, new AssistantMessageParam(used), new UserMessageParam(results)] });
        Assert.Equal(StopReason.EndTurn, after.StopReason);
        var messages = fixture.Asked.GetProperty("messages");
        Assert.Equal(["user", "assistant", "tool", "tool"], messages.EnumerateArray().Select(message => message.GetProperty("role").GetString()));
        Assert.Equal(Ids(messages[1].GetProperty("tool_calls"), "id"), messages.EnumerateArray().Skip(2).Select(message => message.GetProperty("tool_call_id").GetString()));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Anthropic_Reasoning_IsRequestedAndReturned(bool streams)
    {
        fixture.Serve("reasoning", "openai");
        var seen = await AskAsync(streams, Ask(new TextBlockParam("Think.")) with { Thinking = new ThinkingConfigEnabled(1024) });
        Assert.Equal(("Think first.", "Grüße aus Oslo 🌊"), (seen.Thinking.ToString(), seen.Text.ToString()));
        Assert.Equal(5, seen.ThinkingTokens);
        Assert.Equal("low", fixture.Asked.GetProperty("reasoning_effort").GetString());
    }

    private async Task<SeenMessage> AskAsync(bool streams, MessageCreateParams asking)
    {
        using var client = new AnthropicClient { ApiKey = fixture.Gateway.Key, AuthToken = null, BaseUrl = fixture.Gateway.Url, MaxRetries = 0, ResponseValidation = true };
        return streams ? await SeenMessage.ReadAsync(client.Messages.CreateStreaming(asking, Token)) : SeenMessage.Of(await client.Messages.Create(asking, Token));
    }

    private ChatClient OpenAi(string model) => new(model, new ApiKeyCredential(fixture.Gateway.Key), OpenAiOptions.For(fixture.Gateway));

    private static MessageCreateParams Ask(params List<ContentBlockParam> content) => new() { Model = "openai", MaxTokens = 1500, Messages = [new UserMessageParam(content)] };

    private static Dictionary<string, JsonElement> Members(string json) => JsonSerializer.Deserialize<Dictionary<string, JsonElement>>(json)!;

    private static List<string?> Ids(JsonElement list, string member) =>
        list.EnumerateArray().Where(item => item.TryGetProperty(member, out _)).Select(item => item.GetProperty(member).GetString()).ToList();

    private static void AssertSource(JsonElement source, string typeMember, string type, string data) =>
        Assert.Equal((type, data), (source.GetProperty(typeMember).GetString(), source.GetProperty("data").GetString()));

    private static void AssertPlace(string text)
    {
        using var place = JsonDocument.Parse(text);
        Assert.Equal("Oslo", place.RootElement.GetProperty("city").GetString());
        Assert.True(place.RootElement.GetProperty("mild").GetBoolean());
    }
}
