using System.Net;
using System.Text.Json;
using Anthropic;
using Anthropic.Exceptions;
using Anthropic.Models.Messages;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Clients;

/// <summary>The official .NET client of Anthropic. It validates what it reads, so a field of the wrong type fails the test that meets it.</summary>
public sealed class AnthropicClientTests(GatewayFixture fixture) : IClassFixture<GatewayFixture>
{
    private const string Properties = """{"city":{"type":"string"},"days":{"type":"integer","minimum":1,"maximum":7}}""";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    [Shows(ClientTable.Chat)]
    public async Task Message_Request_ReturnsTextAndUsage()
    {
        using var client = Client();
        var answer = await client.Messages.Create(Ask("sim-echo", "Hello, .NET"), Token);
        answer.Validate();
        Assert.True(Assert.Single(answer.Content).TryPickText(out var text));
        Assert.Equal("Hello, .NET", text.Text);
        Assert.Equal(StopReason.EndTurn, answer.StopReason!.Value());
        Assert.Equal("sim-echo", answer.Model.Raw());
        Assert.True(answer.Usage is { InputTokens: > 0, OutputTokens: > 0 });
        Assert.StartsWith("msg_", answer.ID, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Message_OutputLimitReached_EndsWithMaxTokens()
    {
        using var client = Client();
        var answer = await client.Messages.Create(Ask("sim-echo", "one two three four five six") with { MaxTokens = 2 }, Token);
        Assert.Equal(StopReason.MaxTokens, answer.StopReason!.Value());
        Assert.Equal(2, answer.Usage.OutputTokens);
    }

    [Fact]
    [Shows(ClientTable.Stream)]
    public async Task Stream_Deltas_ConcatenateToText()
    {
        const string text = "One piece after the other until all of them are here.";
        using var client = Client();
        var seen = await SeenMessage.ReadAsync(client.Messages.CreateStreaming(Ask("sim-echo", text), Token));
        Assert.Equal(text, seen.Text.ToString());
        Assert.True(seen.TextDeltas > 3);
        Assert.Equal(StopReason.EndTurn, seen.StopReason);
        Assert.True(seen.Started && seen.Stopped);
        Assert.True(seen.OutputTokens > 0);
    }

    [Fact]
    [Shows(ClientTable.Tools)]
    public async Task Tools_StreamedInput_MatchesSchemaAndResultIsAnswered()
    {
        using var client = Client();
        var asking = Ask("sim-tools", "Weather in Oslo?") with { Tools = [Weather()] };
        var seen = await SeenMessage.ReadAsync(client.Messages.CreateStreaming(asking, Token));
        Assert.Equal(StopReason.ToolUse, seen.StopReason);
        var use = Assert.Single(seen.Tools);
        Assert.Equal("get_weather", use.Name);
        Assert.True(seen.InputDeltas > 1);
        var input = JsonSerializer.Deserialize<Dictionary<string, JsonElement>>(seen.Input.ToString())!;
        Assert.Equal(JsonValueKind.String, input["city"].ValueKind);
        Assert.InRange(input["days"].GetInt32(), 1, 7);

        var answer = await client.Messages.Create(
            asking with
            {
                Messages =
                [
                    .. asking.Messages,
                    new AssistantMessageParam(new List<ContentBlockParam> { new ToolUseBlockParam { ID = use.ID, Name = use.Name, Input = input } }),
                    new UserMessageParam(new List<ContentBlockParam> { new ToolResultBlockParam(use.ID) { Content = "sunny" } }),
                ],
            },
            Token);
        Assert.Equal(StopReason.EndTurn, answer.StopReason!.Value());
        Assert.Contains(answer.Content, block => block.TryPickText(out var text) && text.Text.Length > 0);
    }

    [Fact]
    [Shows(ClientTable.StructuredOutput)]
    public async Task StructuredOutput_MatchesSchema()
    {
        using var client = Client();
        var schema = Object($$"""{"type":"object","properties":{{Properties}},"required":["city","days"],"additionalProperties":false}""");
        var answer = await client.Messages.Create(Ask("sim-json", "Weather as JSON") with { OutputConfig = new OutputConfig { Format = new JsonOutputFormat { Schema = schema } } }, Token);
        Assert.True(answer.Content[0].TryPickText(out var text));
        using var parsed = JsonDocument.Parse(text.Text);
        Assert.InRange(parsed.RootElement.GetProperty("days").GetInt32(), 1, 7);
        Assert.Equal(["city", "days"], parsed.RootElement.EnumerateObject().Select(member => member.Name).Order());
    }

    [Fact]
    public async Task CountTokens_SamePrompt_MatchesResponseUsage()
    {
        using var client = Client();
        var asking = Ask("sim-echo", "How many tokens are these?");
        var counted = await client.Messages.CountTokens(new MessageCountTokensParams { Model = "sim-echo", Messages = asking.Messages }, Token);
        Assert.Equal((await client.Messages.Create(asking, Token)).Usage.InputTokens, counted.InputTokens);
    }

    [Fact]
    public async Task Models_AnthropicClient_ListsAndRetrieves()
    {
        using var client = Client();
        var page = await client.Models.List(new(), Token);
        Assert.Contains(page.Items, model => model.ID == "sim-fast");
        var one = await client.Models.Retrieve("sim-fast", cancellationToken: Token);
        one.Validate();
        Assert.Equal("sim-fast", one.ID);
        Assert.True(one.MaxInputTokens > 0);
    }

    [Fact]
    [Shows(ClientTable.BadRequest)]
    public async Task Errors_BadRequest_Returns400()
    {
        var error = await FailsAsync<AnthropicBadRequestException>(fixture.Gateway.Key, Ask("sim-fast", "x") with { Messages = [] });
        Assert.Equal((HttpStatusCode.BadRequest, "invalid_request_error"), (error.StatusCode, error.Type?.Raw()));
        Assert.StartsWith("req_", error.RequestID, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Errors_RejectedByProvider_Returns400() =>
        await FailsAsync<AnthropicBadRequestException>(fixture.Gateway.Key, Ask("sim-fast", "x"), "status=400");

    [Fact]
    [Shows(ClientTable.Unauthorized)]
    public async Task Errors_UnknownKey_Returns401()
    {
        var error = await FailsAsync<AnthropicUnauthorizedException>("fl_nobody", Ask("sim-fast", "x"));
        Assert.Equal("authentication_error", error.Type?.Raw());
    }

    [Fact]
    [Shows(ClientTable.Forbidden)]
    public async Task Errors_KeyWithoutScope_Returns403()
    {
        var (narrow, _) = await fixture.Gateway.MakeKeyAsync("\"scopes\":[\"models:read\"]");
        var error = await FailsAsync<AnthropicForbiddenException>(narrow, Ask("sim-fast", "x"));
        Assert.Equal("permission_error", error.Type?.Raw());
    }

    [Fact]
    [Shows(ClientTable.NotFound)]
    public async Task Errors_UnknownModel_Returns404()
    {
        var error = await FailsAsync<AnthropicNotFoundException>(fixture.Gateway.Key, Ask("no-such-model", "x"));
        Assert.Equal("not_found_error", error.Type?.Raw());
        Assert.Contains("no-such-model", error.ApiMessage, StringComparison.Ordinal);
    }

    [Fact]
    [Shows(ClientTable.TooManyRequests)]
    public async Task Errors_ProviderRateLimit_Returns429()
    {
        var error = await FailsAsync<AnthropicRateLimitException>(fixture.Gateway.Key, Ask("sim-fast", "x"), "status=429; retry_after=7");
        Assert.Equal("rate_limit_error", error.Type?.Raw());
        Assert.Equal(7000, error.Body.GetProperty("error").GetProperty("retry_after_ms").GetInt64());
    }

    [Fact]
    [Shows(ClientTable.Unavailable)]
    public async Task Errors_BusyProvider_Returns529()
    {
        var error = await FailsAsync<AnthropicOverloadedException>(fixture.Gateway.Key, Ask("sim-fast", "x"), "status=503; retry_after=7");
        Assert.Equal((529, "overloaded_error"), ((int)error.StatusCode, error.Type?.Raw()));
    }

    [Fact]
    public async Task Errors_BeforeStreamStarts_ReturnStatus()
    {
        using var client = Client("status=429; retry_after=7");
        await Assert.ThrowsAsync<AnthropicRateLimitException>(() => SeenMessage.ReadAsync(client.Messages.CreateStreaming(Ask("sim-fast", "x"), Token)));
    }

    [Fact]
    [Shows(ClientTable.CutStream)]
    public async Task Stream_Truncated_ThrowsAfterReceivedContent()
    {
        using var client = Client("cut_after=3");
        var seen = new SeenMessage();
        var error = await Assert.ThrowsAsync<AnthropicSseException>(() => SeenMessage.ReadAsync(client.Messages.CreateStreaming(Ask("sim-fast", "A long story"), Token), seen));
        Assert.NotEmpty(seen.Text.ToString());
        Assert.False(seen.Stopped);
        Assert.Equal("api_error", error.Type?.Raw());
    }

    [Fact]
    public async Task Message_FirstAttemptFails_IsRetriedByGateway()
    {
        using var client = Client("fail_first=1");
        var answer = await client.Messages.Create(Ask("sim-echo", "again"), Token);
        Assert.True(answer.Content[0].TryPickText(out var text));
        Assert.Equal("again", text.Text);
    }

    private async Task<TException> FailsAsync<TException>(string key, MessageCreateParams parameters, string? simulate = null)
        where TException : Exception
    {
        using var client = Client(simulate, key);
        return await Assert.ThrowsAsync<TException>(() => client.Messages.Create(parameters, Token));
    }

    private AnthropicClient Client(string? simulate = null, string? key = null)
    {
        var http = new HttpClient();
        if (simulate is not null) http.DefaultRequestHeaders.Add("Fairlead-Simulate", simulate);
        return new AnthropicClient { ApiKey = key ?? fixture.Gateway.Key, AuthToken = null, BaseUrl = fixture.Gateway.Url, HttpClient = http, MaxRetries = 0, ResponseValidation = true };
    }

    private static MessageCreateParams Ask(string model, string text) => new() { Model = model, MaxTokens = 200, Messages = [new UserMessageParam(text)] };

    private static Tool Weather() => new() { Name = "get_weather", Description = "The weather", InputSchema = new InputSchema { Properties = Object(Properties), Required = ["city", "days"] } };

    private static Dictionary<string, JsonElement> Object(string json) => JsonSerializer.Deserialize<Dictionary<string, JsonElement>>(json)!;
}
