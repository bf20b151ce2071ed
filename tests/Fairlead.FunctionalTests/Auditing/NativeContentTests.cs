using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.FunctionalTests.Policies;
using Fairlead.Tests.Common;

namespace Fairlead.FunctionalTests.Auditing;

/// <summary>Recorded content of calls whose bytes are forwarded, are from the cache, or have placeholders that only the reader gets restored.</summary>
public sealed class NativeContentTests : IAsyncLifetime
{
    private PolicyWorld _world = null!;

    public async ValueTask InitializeAsync() => _world = await PolicyWorld.StartAsync("  audit: { content: full }\n  cache: { enabled: true }");

    public ValueTask DisposeAsync() => _world.DisposeAsync();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Chat_Forwarded_IsRecordedAndNotChanged(bool stream)
    {
        _world.Arguments = ["{\"a\"", ":1}"];
        var reply = await _world.SendAsync("chat", PolicyWorld.Body("chat", "what was asked", stream));
        // Only a forwarded response has members that the gateway does not know.
        if (!stream) Assert.Contains("vendor_note", reply.Body, StringComparison.Ordinal);
        var content = await ContentAsync();
        Assert.Equal("what was asked", content.GetProperty("input").GetProperty("messages")[0].GetProperty("content").GetString());
        var parts = content.GetProperty("output")[0].GetProperty("parts");
        Assert.Equal("Hello there.", parts[0].GetProperty("text").GetString());
        Assert.Equal(("f", "{\"a\":1}"), (parts[1].GetProperty("name").GetString(), parts[1].GetProperty("arguments").GetString()));
    }

    [Fact]
    public async Task Cached_Response_IsRecordedForEachCall()
    {
        for (var i = 0; i < 2; i++)
            await _world.SendAsync("chat", PolicyWorld.Body("chat", "again", more: ",\"temperature\":0,\"fairlead\":{\"cache\":{\"mode\":\"on\"}}"));
        var records = (await _world.Gateway.Admin.GetJsonAsync("/admin/v1/audit?include=content")).GetProperty("data");
        Assert.True(records[0].GetProperty("cached").GetBoolean());
        foreach (var record in records.EnumerateArray())
            Assert.Equal("Hello there.", record.GetProperty("content").GetProperty("output")[0].GetProperty("parts")[0].GetProperty("text").GetString());
    }

    /// <summary>Placeholders of a policy that restores them stay placeholders, and what a policy redacts is not recorded, also at full.</summary>
    [Theory]
    [InlineData("chat", false)]
    [InlineData("chat", true)]
    [InlineData("responses", true)]
    [InlineData("messages", false)]
    [InlineData("v2", true)]
    public async Task Restored_Placeholders_StayInTheAudit(string dialect, bool stream)
    {
        await _world.AddPolicyAsync(PolicyWorld.RestoreEmails);
        _world.Pieces = ["I write to [EM", "AIL_1", "]."];
        var reply = await _world.SendAsync(dialect, PolicyWorld.Body(dialect, $"Write to {PolicyWorld.Email}.", stream));
        Assert.Contains(PolicyWorld.Email, reply.Text, StringComparison.Ordinal);
        var text = (await ContentAsync()).GetRawText();
        Assert.DoesNotContain(PolicyWorld.Email, text, StringComparison.Ordinal);
        Assert.Contains("Write to [EMAIL_1].", text, StringComparison.Ordinal);
        Assert.Contains("I write to [EMAIL_1].", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("chat")]
    [InlineData("v2")]
    public async Task Blocked_Request_IsNotRecorded(string dialect)
    {
        await _world.AddPolicyAsync(PolicyWorld.BlockWord);
        await _world.SendAsync(dialect, PolicyWorld.Body(dialect, "a forbidden phrase"));
        var content = await ContentAsync();
        Assert.Equal("content_blocked", content.GetProperty("input_withheld").GetString());
        Assert.DoesNotContain("forbidden", content.GetRawText(), StringComparison.Ordinal);
    }

    /// <summary>A stream that ends too early has what its client got.</summary>
    [Fact]
    public async Task Broken_Stream_RecordsWhatWasMade()
    {
        _world.Upstream.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("{\"content\":\"the first words\"}"));
        };
        // The response is aborted: it is not whole.
        await Assert.ThrowsAnyAsync<HttpRequestException>(() => _world.SendAsync("chat", PolicyWorld.Body("chat", "hi", stream: true)));
        var content = await ContentAsync();
        Assert.Equal("the first words", content.GetProperty("output")[0].GetProperty("parts")[0].GetProperty("text").GetString());
        Assert.Equal(JsonValueKind.Null, content.GetProperty("output")[0].GetProperty("finish_reason").ValueKind);
    }

    private async Task<JsonElement> ContentAsync() =>
        (await _world.Gateway.Admin.GetJsonAsync("/admin/v1/audit?include=content")).GetProperty("data")[0].GetProperty("content");
}
