using System.ClientModel;
using System.Text;
using Fairlead.FunctionalTests.Common;
using OpenAI.Responses;

namespace Fairlead.FunctionalTests.Responses;

#pragma warning disable OPENAI001 // The client marks its newer parts as such.

/// <summary>OpenAI's own .NET client on Responses.</summary>
public sealed class OpenAiResponsesClientTests(GatewayFixture fixture) : IClassFixture<GatewayFixture>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task ResponsesClient_CreateContinueReadDelete_Works()
    {
        var client = new ResponsesClient(new ApiKeyCredential(fixture.Gateway.Key), new ResponsesClientOptions { Endpoint = new Uri(fixture.Gateway.Url + "/v1") });
        ResponseResult first = await client.CreateResponseAsync("sim-echo", "a bowline", cancellationToken: Cancel);
        Assert.Equal("a bowline", first.GetOutputText());
        Assert.Equal(ResponseStatus.Completed, first.Status);

        var text = new StringBuilder();
        StreamingResponseUpdate? last = null;
        await foreach (var update in await client.CreateResponseStreamingAsync("sim-echo", "a hitch", first.Id, Cancel))
        {
            if (update is StreamingResponseOutputTextDeltaUpdate delta) text.Append(delta.Delta);
            last = update;
        }
        Assert.Equal("a hitch", text.ToString());
        var completed = Assert.IsType<StreamingResponseCompletedUpdate>(last);
        Assert.Equal(first.Id, completed.Response.PreviousResponseId);
        Assert.True(completed.Response.Usage.InputTokenCount > first.Usage.InputTokenCount);

        ResponseResult read = await client.GetResponseAsync(first.Id, Cancel);
        Assert.Equal("a bowline", read.GetOutputText());
        await client.DeleteResponseAsync(first.Id, Cancel);
        var gone = await Assert.ThrowsAsync<ClientResultException>(async () => await client.GetResponseAsync(first.Id, Cancel));
        Assert.Equal(404, gone.Status);
    }

    [Fact]
    public async Task ResponsesClient_BackgroundResponse_CanBeRetrievedAndCancelled()
    {
        var client = new ResponsesClient(new ApiKeyCredential(fixture.Gateway.Key), new ResponsesClientOptions { Endpoint = new Uri(fixture.Gateway.Url + "/v1") });
        var options = new CreateResponseOptions("sim-echo", [ResponseItem.CreateUserMessageItem("a bowline")]) { BackgroundModeEnabled = true };
        ResponseResult made = await client.CreateResponseAsync(options, Cancel);
        Assert.Equal(ResponseStatus.Queued, made.Status);
        while (made.Status is ResponseStatus.Queued or ResponseStatus.InProgress)
        {
            using var wait = await fixture.Gateway.Client.GetAsync(new Uri($"/v2/generations/gen_{made.Id[5..]}?wait=60", UriKind.Relative), Cancel);
            made = await client.GetResponseAsync(made.Id, Cancel);
        }
        Assert.Equal(ResponseStatus.Completed, made.Status);
        Assert.Equal("a bowline", made.GetOutputText());
        Assert.True(made.BackgroundModeEnabled);
        Assert.Equal(ResponseStatus.Completed, (await client.CancelResponseAsync(made.Id, Cancel)).Value.Status);
    }

    [Fact]
    public async Task ResponsesClient_StructuredOutputAndFunctionCall_Work()
    {
        var client = new ResponsesClient(new ApiKeyCredential(fixture.Gateway.Key), new ResponsesClientOptions { Endpoint = new Uri(fixture.Gateway.Url + "/v1") });
        var schema = BinaryData.FromString("""{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city","days"],"additionalProperties":false}""");
        ResponseResult structured = await client.CreateResponseAsync(
            new CreateResponseOptions("sim-json", [ResponseItem.CreateUserMessageItem("Weather as JSON")]) { TextOptions = new ResponseTextOptions { TextFormat = ResponseTextFormat.CreateJsonSchemaFormat("weather", schema, jsonSchemaIsStrict: true) } }, Cancel);
        var value = System.Text.Json.JsonDocument.Parse(structured.GetOutputText()).RootElement;
        Assert.Equal(["city", "days"], value.EnumerateObject().Select(member => member.Name));

        var options = new CreateResponseOptions("sim-tools", [ResponseItem.CreateUserMessageItem("What is the weather in Oslo?")]) { StreamingEnabled = true };
        options.Tools.Add(ResponseTool.CreateFunctionTool("get_weather", schema, strictModeEnabled: true));
        var arguments = new StringBuilder();
        FunctionCallResponseItem? call = null;
        string? id = null;
        await foreach (var update in await client.CreateResponseStreamingAsync(options, Cancel))
        {
            if (update is StreamingResponseFunctionCallArgumentsDeltaUpdate delta) arguments.Append(delta.Delta);
            if (update is StreamingResponseOutputItemDoneUpdate { Item: FunctionCallResponseItem done }) call = done;
            if (update is StreamingResponseCompletedUpdate end) id = end.Response.Id;
        }
        Assert.Equal("get_weather", call!.FunctionName);
        Assert.Equal(call.FunctionArguments.ToString(), arguments.ToString());
        var next = new CreateResponseOptions("sim-tools", [ResponseItem.CreateFunctionCallOutputItem(call.CallId, "sunny")]) { PreviousResponseId = id };
        next.Tools.Add(ResponseTool.CreateFunctionTool("get_weather", schema, strictModeEnabled: true));
        ResponseResult told = await client.CreateResponseAsync(next, Cancel);
        Assert.NotEmpty(told.GetOutputText());
    }

    [Fact]
    public async Task ResponsesClient_CancelBackgroundResponse_IsCancelled()
    {
        var client = new ResponsesClient(new ApiKeyCredential(fixture.Gateway.Key), new ResponsesClientOptions { Endpoint = new Uri(fixture.Gateway.Url + "/v1") });
        var options = new CreateResponseOptions("sim-slow", [ResponseItem.CreateUserMessageItem(string.Concat(Enumerable.Repeat("Tell me about knots ", 200)))]) { BackgroundModeEnabled = true };
        ResponseResult made = await client.CreateResponseAsync(options, Cancel);
        ResponseResult cancelled = await client.CancelResponseAsync(made.Id, Cancel);
        Assert.Equal(ResponseStatus.Cancelled, cancelled.Status);
        ResponseResult again = await client.GetResponseAsync(made.Id, Cancel);
        Assert.Equal(ResponseStatus.Cancelled, again.Status);
    }
}
