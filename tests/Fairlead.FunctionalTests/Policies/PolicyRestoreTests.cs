using System.Text.Json;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Policies;

/// <summary>Redacted input that the client gets back in the response, and that nothing keeps.</summary>
public sealed class PolicyRestoreTests : IAsyncLifetime
{
    private PolicyWorld _world = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _world = await PolicyWorld.StartAsync("  cache: { enabled: true }");
        _world.Pieces = ["I write to [EM", "AIL_1", "], and only to", " [EMAIL_1]", "."];
        await _world.AddPolicyAsync(PolicyWorld.RestoreEmails);
    }

    public ValueTask DisposeAsync() => _world.DisposeAsync();

    public static TheoryData<string, bool> Cases => new(
        PolicyWorld.Dialects.SelectMany(dialect => new[] { (dialect, false), (dialect, true) }));

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Placeholder_InResponse_IsRestored(string dialect, bool stream)
    {
        var reply = await _world.SendAsync(dialect, PolicyWorld.Body(dialect, $"Write to {PolicyWorld.Email}.", stream));
        Assert.Equal($"I write to {PolicyWorld.Email}, and only to {PolicyWorld.Email}.", reply.Text);
        Assert.DoesNotContain("[EMAIL_1]", reply.Body, StringComparison.Ordinal);
        Assert.DoesNotContain(PolicyWorld.Email, _world.Received, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Cache_EachReader_GetsItsOwnOriginal(bool stream)
    {
        Assert.Contains("a@example.org, and", (await SendAsync("a@example.org")).Text, StringComparison.Ordinal);
        var hit = await SendAsync("b@example.org");
        Assert.Equal("I write to b@example.org, and only to b@example.org.", hit.Text);
        Assert.True(hit.Find("cached").Last().GetBoolean());
        Assert.Single(_world.Upstream.Requests);

        Task<PolicyReply> SendAsync(string to) => _world.SendAsync("chat", PolicyWorld.Body(
            "chat", $"Write to {to}", stream, ",\"temperature\":0,\"fairlead\":{\"cache\":{\"mode\":\"on\"}}"));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Idempotency_Repeated_IsRestoredAgain(bool stream)
    {
        var body = PolicyWorld.Body("chat", $"Write to {PolicyWorld.Email}", stream);
        var first = await _world.SendAsync("chat", body, ("Idempotency-Key", "k"));
        var second = await _world.SendAsync("chat", body, ("Idempotency-Key", "k"));
        Assert.Equal(first.Body, second.Body);
        Assert.Contains(PolicyWorld.Email, second.Text, StringComparison.Ordinal);
        Assert.Single(_world.Upstream.Requests);
    }

    [Fact]
    public async Task KeptStream_EachReader_IsRestored()
    {
        var first = await _world.SendAsync("responses", PolicyWorld.Body("responses", $"Write to {PolicyWorld.Email}", stream: true, ",\"background\":true"));
        var whole = $"I write to {PolicyWorld.Email}, and only to {PolicyWorld.Email}.";
        Assert.Equal(whole, first.Text);
        var id = first.Find("response").First().GetProperty("id").GetString();
        using var again = await _world.Gateway.Client.GetAsync(new Uri($"/v1/responses/{id}?stream=true", UriKind.Relative), Token);
        Assert.Equal(whole, new PolicyReply(200, await again.Content.ReadAsStringAsync(Token)).Text);
        var stored = await _world.Gateway.Client.GetJsonAsync($"/v1/responses/{id}");
        Assert.Contains(PolicyWorld.Email, stored.GetRawText(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Conversation_NextTurn_KeepsPlaceholders()
    {
        var first = await _world.SendAsync("responses", PolicyWorld.Body("responses", "Write to a@example.org"));
        var id = first.Objects[0].GetProperty("id").GetString();
        _world.Pieces = ["[EMAIL_1] and [EMAIL_2]"];
        var second = await _world.SendAsync("responses", PolicyWorld.Body("responses", "And to b@example.org", more: $",\"previous_response_id\":\"{id}\""));
        Assert.Equal("a@example.org and b@example.org", second.Text);
    }

    [Fact]
    public async Task Arguments_OfTool_AreRestoredAsJson()
    {
        await _world.AddPolicyAsync("""{"id":"quoted","type":"regex","pattern":"say \"[a-z]+\"","max_match_length":40,"action":"redact","restore":true}""");
        _world.Pieces = [];
        var asked = await _world.SendAsync("chat", PolicyWorld.Body("chat", "Please say \"abc\" now"));
        Assert.Equal(200, asked.Status);
        var placeholder = JsonDocument.Parse(Assert.Single(_world.Upstream.Requests).Body).RootElement.GetProperty("messages")[0].GetProperty("content").GetString()!;
        placeholder = placeholder[placeholder.IndexOf('[')..(placeholder.IndexOf(']') + 1)];
        foreach (var stream in new[] { false, true })
        {
            _world.Arguments = ["{\"text\":\"", placeholder[..3], placeholder[3..], "\"}"];
            var reply = await _world.SendAsync("chat", PolicyWorld.Body(
                "chat", "Please say \"abc\" now", stream, ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\"}}}]"));
            using var arguments = JsonDocument.Parse(reply.Arguments);
            Assert.Equal("say \"abc\"", arguments.RootElement.GetProperty("text").GetString());
        }
    }
}
