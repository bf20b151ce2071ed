using System.ClientModel;
using System.ClientModel.Primitives;
using System.Text;
using System.Text.Json;
using Anthropic;
using Anthropic.Exceptions;
using Anthropic.Models.Messages;
using Fairlead.Configuration;
using Fairlead.Server.Failover;
using OpenAI;
using OpenAI.Chat;
using OpenAI.Responses;

namespace Fairlead.FunctionalTests.Failover;

#pragma warning disable OPENAI001 // The client marks its newer parts as such.

/// <summary>The cases of the failover suite through the official clients of OpenAI and Anthropic.</summary>
public sealed class FailoverClientTests
{
    private const string Model = "assistant";

    private static readonly FailoverTarget Target = new(Model, 2);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<string> Cases => [.. FailoverCase.All.Where(test => !test.IsFlapping).Select(test => test.Name)];

    [Theory]
    [MemberData(nameof(Cases))]
    public Task Chat_ProviderFails_ClientGetsRightTextOrClearError(string name) => CheckAsync(name, ChatAsync);

    [Theory]
    [MemberData(nameof(Cases))]
    public Task Messages_ProviderFails_ClientGetsRightTextOrClearError(string name) => CheckAsync(name, MessagesAsync);

    [Theory]
    [MemberData(nameof(Cases))]
    public Task Responses_ProviderFails_ClientGetsRightTextOrClearError(string name) => CheckAsync(name, ResponsesAsync);

    private static async Task CheckAsync(string name, Func<FailoverWorld, FailoverCase, bool, Task<FailoverResponse>> send)
    {
        var test = FailoverCase.All.Single(each => each.Name == name);
        await Task.WhenAll(CheckAsync(test, isStream: false, send), CheckAsync(test, isStream: true, send));
    }

    private static async Task CheckAsync(FailoverCase test, bool isStream, Func<FailoverWorld, FailoverCase, bool, Task<FailoverResponse>> send)
    {
        await using var world = await FailoverWorld.StartAsync(Configuration(), test, TimeProvider.System, Token);
        var response = await send(world, test, isStream);
        var verdict = FailoverVerdict.Of(test, response, isStream, Target);
        Assert.True(verdict.Passed, $"{(isStream ? "stream" : "whole")}: {verdict.Detail}; {response}");
        if (test.ChecksAccounting) Assert.Null(await FailoverAccounting.CheckAsync(world, Target, response, TimeProvider.System, Token));
    }

    private static GatewayConfiguration Configuration()
    {
        var folder = Directory.CreateTempSubdirectory("fairlead-test-");
        try
        {
            var file = Path.Combine(folder.FullName, "fairlead.yaml");
            File.WriteAllText(file, """
                fairlead:
                  providers:
                    openai: { kind: openai, apiKey: sk-of-openai }
                    anthropic: { kind: anthropic, apiKey: sk-of-anthropic }
                  models:
                    assistant:
                      deployments:
                        - { provider: openai, model: gpt-4o-mini, priority: 1 }
                        - { provider: anthropic, model: claude-haiku-4-5, priority: 2 }
                """);
            var result = ConfigurationReader.Read(new ConfigurationInput { Path = file, WorkingDirectory = folder.FullName }, ConfigurationSections.BuiltIn);
            Assert.Empty(result.Errors);
            return result.Configuration!;
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static async Task<FailoverResponse> ChatAsync(FailoverWorld world, FailoverCase test, bool isStream)
    {
        var options = new OpenAIClientOptions { Endpoint = new Uri(world.Http.BaseAddress!, "/v1"), RetryPolicy = new ClientRetryPolicy(0) };
        var client = new ChatClient(Model, new ApiKeyCredential(world.Key), options);
        ChatMessage[] messages = [new UserChatMessage(FailoverClient.Prompt)];
        var text = new StringBuilder();
        try
        {
            if (!isStream)
            {
                ChatCompletion whole = await client.CompleteChatAsync(messages, cancellationToken: Token);
                return new(200, whole.Content.Count == 0 ? "" : whole.Content[0].Text, null, whole.FinishReason == ChatFinishReason.Stop, whole.Model);
            }
            string? model = null;
            ChatFinishReason? finish = null;
            await foreach (var update in client.CompleteChatStreamingAsync(messages, cancellationToken: Token))
            {
                foreach (var part in update.ContentUpdate) text.Append(part.Text);
                model ??= update.Model;
                finish ??= update.FinishReason;
            }
            return new(200, text.ToString(), null, finish == ChatFinishReason.Stop, model);
        }
        catch (ClientResultException failure) when (failure.Status >= 400)
        {
            return Failed(failure, text);
        }
        catch (Exception failure) when (isStream && failure is IOException or HttpRequestException or ClientResultException or JsonException)
        {
            return Broken(test, text);
        }
    }

    private static async Task<FailoverResponse> ResponsesAsync(FailoverWorld world, FailoverCase test, bool isStream)
    {
        var options = new ResponsesClientOptions { Endpoint = new Uri(world.Http.BaseAddress!, "/v1"), RetryPolicy = new ClientRetryPolicy(0) };
        var client = new ResponsesClient(new ApiKeyCredential(world.Key), options);
        var text = new StringBuilder();
        try
        {
            if (!isStream)
            {
                ResponseResult whole = await client.CreateResponseAsync(Model, FailoverClient.Prompt, cancellationToken: Token);
                return new(200, whole.GetOutputText() ?? "", whole.Error?.Code.ToString(), whole.Status == ResponseStatus.Completed, whole.Model);
            }
            string? model = null, error = null;
            var hasEnd = false;
            await foreach (var update in await client.CreateResponseStreamingAsync(Model, FailoverClient.Prompt, cancellationToken: Token))
            {
                if (update is StreamingResponseOutputTextDeltaUpdate delta) text.Append(delta.Delta);
                else if (update is StreamingResponseCreatedUpdate created) model = created.Response.Model;
                else if (update is StreamingResponseErrorUpdate failed) error = failed.Code;
                else if (update is StreamingResponseFailedUpdate ended) error ??= ended.Response.Error?.Code.ToString();
                else if (update is StreamingResponseCompletedUpdate) hasEnd = true;
            }
            return new(200, text.ToString(), error, hasEnd, model);
        }
        catch (ClientResultException failure) when (failure.Status >= 400)
        {
            return Failed(failure, text);
        }
        catch (Exception failure) when (isStream && failure is IOException or HttpRequestException or ClientResultException or JsonException)
        {
            return Broken(test, text);
        }
    }

    private static async Task<FailoverResponse> MessagesAsync(FailoverWorld world, FailoverCase test, bool isStream)
    {
        using var http = new HttpClient();
        using var client = new AnthropicClient
        {
            ApiKey = world.Key,
            AuthToken = null,
            BaseUrl = world.Http.BaseAddress!.ToString().TrimEnd('/'),
            HttpClient = http,
            MaxRetries = 0,
            ResponseValidation = true,
        };
        var ask = new MessageCreateParams { Model = Model, MaxTokens = 256, Messages = [new UserMessageParam(FailoverClient.Prompt)] };
        var seen = new Clients.SeenMessage();
        try
        {
            if (!isStream)
            {
                var message = await client.Messages.Create(ask, Token);
                seen = Clients.SeenMessage.Of(message);
                return new(200, seen.Text.ToString(), null, seen.StopReason == StopReason.EndTurn, message.Model.Raw());
            }
            await Clients.SeenMessage.ReadAsync(client.Messages.CreateStreaming(ask, Token), seen);
            return new(200, seen.Text.ToString(), null, seen.Stopped && seen.StopReason == StopReason.EndTurn, null);
        }
        catch (AnthropicApiException failure)
        {
            using var body = JsonDocument.Parse(failure.ResponseBody);
            return new((int)failure.StatusCode, seen.Text.ToString(), body.RootElement.GetProperty("error").GetProperty("code").GetString(), false, null);
        }
        catch (Exception failure) when (isStream && failure is AnthropicException or IOException or HttpRequestException)
        {
            return Broken(test, seen.Text);
        }
    }

    private static FailoverResponse Failed(ClientResultException failure, StringBuilder text)
    {
        using var body = JsonDocument.Parse(failure.GetRawResponse()!.Content.ToMemory());
        return new(failure.Status, text.ToString(), body.RootElement.GetProperty("error").GetProperty("code").GetString(), false, null);
    }

    // The clients report an error in a stream by an exception without its code. After the text has started, that is what a client can know.
    private static FailoverResponse Broken(FailoverCase test, StringBuilder text)
    {
        Assert.NotEqual(0, text.Length);
        Assert.Equal(FailoverRecovery.WithOtherDeploymentOrRescue, test.Recovery);
        return new(200, text.ToString(), test.Errors[0], false, null);
    }
}
