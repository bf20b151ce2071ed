using System.Net;
using System.Runtime.CompilerServices;
using System.Text;
using Fairlead.FunctionalTests.Common;
using Microsoft.Extensions.AI;

namespace Fairlead.FunctionalTests.Streaming;

/// <summary>A model of the embedding app that fails when its first words have reached the caller.</summary>
public sealed class ChatClientFailureTests
{
    [Theory]
    [InlineData("/v1/chat/completions", "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]", "[DONE]")]
    [InlineData("/v1/messages", "\"max_tokens\":50,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]", "message_stop")]
    [InlineData("/v1/completions", "\"prompt\":\"Hi\"", "[DONE]")]
    public async Task Stream_ChatClientFailsAfterFirstText_EndsWithErrorEvent(string path, string request, string ordinaryEnd)
    {
        var token = TestContext.Current.CancellationToken;
        var client = new FailingClient();
        await using var gateway = await TestGateway.StartAsync(configure: (_, fairlead) => fairlead.AddChatModel("pipeline", _ => client));
        using var message = new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent($$"""{"model":"pipeline","stream":true,{{request}}}""", Encoding.UTF8, "application/json") };
        using var response = await gateway.Client.SendAsync(message, HttpCompletionOption.ResponseHeadersRead, token);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);

        var raw = new StringBuilder();
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(token));
        var buffer = new char[4096];
        try
        {
            while (await reader.ReadAsync(buffer, token) is var read and > 0)
            {
                raw.Append(buffer, 0, read);
                // It fails only when this caller has read its words.
                if (raw.ToString().Contains("Half an ans", StringComparison.Ordinal)) client.Fail();
            }
        }
        catch (Exception exception) when (exception is IOException or HttpRequestException)
        {
            // OpenAI's clients take an aborted connection for the failure that it is.
        }

        var text = raw.ToString();
        var last = text.TrimEnd().Split("\n\n")[^1];
        Assert.Contains("Half an ans", text, StringComparison.Ordinal);
        Assert.Contains("\"error\":{", last, StringComparison.Ordinal);
        Assert.Contains("\"code\":\"provider_error\"", last, StringComparison.Ordinal);
        Assert.Contains("\"outcome\":\"provider_lost\"", last, StringComparison.Ordinal);
        Assert.DoesNotContain(ordinaryEnd, text, StringComparison.Ordinal);
        Assert.DoesNotContain("finish_reason\":\"stop", text, StringComparison.Ordinal);
        Assert.DoesNotContain("secret-host", text, StringComparison.Ordinal);
    }

    private sealed class FailingClient : IChatClient
    {
        private readonly TaskCompletionSource _failing = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Fail() => _failing.TrySetResult();

        public Task<ChatResponse> GetResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) =>
            throw new NotSupportedException("It only streams.");

        public async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
            IEnumerable<ChatMessage> messages, ChatOptions? options = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
        {
            yield return new ChatResponseUpdate(ChatRole.Assistant, "Half an ans");
            await _failing.Task.WaitAsync(cancellationToken);
            throw new InvalidOperationException("secret-host-1 went away");
        }

        public object? GetService(Type serviceType, object? serviceKey = null) => null;

        public void Dispose()
        {
        }
    }
}
