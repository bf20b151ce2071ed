using System.ClientModel;
using System.Text;
using Fairlead.FunctionalTests.Clients;
using Fairlead.FunctionalTests.Common;
using OpenAI.Chat;

namespace Fairlead.FunctionalTests.Caching;

/// <summary>OpenAI's own client reads a hit as any other response, also as a stream.</summary>
public sealed class CacheClientTests : IAsyncLifetime
{
    private const string Text = "One piece after the other until all of them are here.";

    private TestGateway _gateway = null!;
    private string _key = "";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _gateway = await TestGateway.StartAsync("fairlead:\n" + CacheWorld.Cache + "\n");
        (_key, _) = await _gateway.MakeKeyAsync("\"cache\":\"on\"");
    }

    public ValueTask DisposeAsync() => _gateway.DisposeAsync();

    [Fact]
    public async Task OpenAi_StreamAfterWhole_ReadsHit()
    {
        var client = new ChatClient("sim-echo", new ApiKeyCredential(_key), OpenAiOptions.For(_gateway));
        var options = new ChatCompletionOptions { Temperature = 0 };
        ChatCompletion whole = await client.CompleteChatAsync([new UserChatMessage(Text)], options, Token);
        var text = new StringBuilder();
        ChatFinishReason? finish = null;
        ChatTokenUsage? usage = null;
        await foreach (var update in client.CompleteChatStreamingAsync([new UserChatMessage(Text)], options, Token))
        {
            foreach (var part in update.ContentUpdate) text.Append(part.Text);
            finish ??= update.FinishReason;
            usage ??= update.Usage;
        }
        Assert.Equal(whole.Content[0].Text, text.ToString());
        Assert.Equal(ChatFinishReason.Stop, finish);
        Assert.Equal(whole.Usage.OutputTokenCount, usage!.OutputTokenCount);
        await AssertCachedAsync();
    }

    private async Task AssertCachedAsync()
    {
        while (true)
        {
            var records = (await _gateway.Admin.GetJsonAsync("/admin/v1/audit")).GetProperty("data").EnumerateArray().ToList();
            if (records.Count < 2)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, Token);
                continue;
            }
            Assert.Single(records, record => record.TryGetProperty("cached", out var cached) && cached.GetBoolean());
            return;
        }
    }
}
