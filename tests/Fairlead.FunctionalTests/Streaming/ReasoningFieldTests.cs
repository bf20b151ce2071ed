using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Streaming;

/// <summary>The provider's <c>reasoningField</c>: under which name clients of chat get reasoning that is translated, and may send it back.</summary>
public sealed class ReasoningFieldTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("", "reasoning_content", "reasoning")]
    [InlineData(", reasoningField: reasoning_content", "reasoning_content", "reasoning")]
    [InlineData(", reasoningField: reasoning", "reasoning", "reasoning_content")]
    public async Task ReasoningField_Configured_UsesThatName(string setting, string name, string otherName)
    {
        await using var gateway = await TestGateway.StartAsync($"fairlead:\n  providers:\n    simulated: {{ kind: simulated{setting} }}\n");
        var whole = await gateway.Client.PostForJsonAsync("/v1/chat/completions", """{"model":"sim-reason","messages":[{"role":"user","content":"Think"}]}""");
        var message = whole.GetProperty("choices")[0].GetProperty("message");
        var reasoning = message.GetProperty(name).GetString();
        Assert.NotEmpty(reasoning!);
        Assert.False(message.TryGetProperty(otherName, out _));

        using var response = await gateway.Client.PostAsync(new Uri("/v1/chat/completions", UriKind.Relative),
            new StringContent("""{"model":"sim-reason","stream":true,"messages":[{"role":"user","content":"Think"}]}""", Encoding.UTF8, "application/json"), Token);
        var stream = await SeenStream.ReadAsync(response, Token);
        var deltas = stream.Events.Where(one => one.Data.StartsWith('{')).Select(one => one.Json.GetProperty("choices")[0].GetProperty("delta")).ToList();
        Assert.Equal(reasoning, string.Concat(deltas.Select(delta => delta.TryGetProperty(name, out var text) ? text.GetString() : "")));
        Assert.DoesNotContain(deltas, delta => delta.TryGetProperty(otherName, out _));

        // What was given may be sent back under the same name.
        await gateway.Client.PostForJsonAsync("/v1/chat/completions", JsonSerializer.Serialize(new Dictionary<string, object>
        {
            ["model"] = "sim-reason",
            ["messages"] = new object[] { new { role = "user", content = "Think" }, new Dictionary<string, object> { ["role"] = "assistant", ["content"] = "so", [name] = reasoning! }, new { role = "user", content = "Again" } },
        }));
    }
}
