using System.Text.Json.Nodes;
using Fairlead.FunctionalTests.Common;
using Fairlead.FunctionalTests.Webhooks;
using Fairlead.Server.Documentation;
using Fairlead.Tests.Common;
using Fairlead.Webhooks;

namespace Fairlead.FunctionalTests.Documentation;

/// <summary>Events against the OpenAPI document.</summary>
public sealed class WebhookEventTests
{
    private static readonly JsonObject Document = OpenApiDocument.Build();

    private static JsonNode Schemas => Document["components"]!["schemas"]!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public void WebhookEventTypes_InOpenApiDocument_MatchKnownEvents()
    {
        Assert.Equal(WebhookEvents.Known, Names(Schemas["WebhookEventType"]!["enum"]!));
        Assert.Equal(WebhookEvents.OfOrganizations, Names(Schemas["OrganizationWebhookEventType"]!["enum"]!));
        Assert.Equal(WebhookEvents.Known.Where(type => type != WebhookEvents.Every).Append(WebhookEvents.Test), Names(Schemas["WebhookEvent"]!["properties"]!["type"]!["enum"]!));
    }

    [Fact]
    public async Task WebhookEvent_AsSent_MatchesOpenApiDocument()
    {
        await using var receiver = await WebhookReceiver.StartAsync();
        await using var gateway = await TestGateway.StartAsync(WebhookTests.Configuration);
        var webhook = await gateway.Client.PostForJsonAsync("/v2/webhooks", $$"""{"url":"{{receiver.Url}}"}""");
        await gateway.Client.PostForJsonAsync($"/v2/webhooks/{webhook.GetProperty("id").GetString()}/test", "{}");
        var seen = new List<ReceivedWebhook> { await receiver.NextAsync(Cancel) };
        await gateway.Client.PostForJsonAsync("/v2/generations", """{"model":"sim-fast","input":"hi","delivery":{"mode":"job"}}""");
        seen.Add(await receiver.NextAsync(Cancel));
        await gateway.Client.SendForJsonAsync(HttpMethod.Patch, $"/v2/webhooks/{webhook.GetProperty("id").GetString()}", """{"events":["limit.warning"]}""");
        using var client = gateway.MakeClient((await gateway.MakeKeyAsync("\"limits\":{\"tokens_per_day\":150}")).Secret);
        await client.PostForJsonAsync("/v1/chat/completions", $$"""{"model":"sim-echo","max_tokens":40,"messages":[{"role":"user","content":"{{string.Concat(Enumerable.Repeat("a ", 40))}}"}]}""");
        var warning = await receiver.NextAsync(Cancel);
        Assert.Empty(SchemaCheck.Faults(Document, Schemas["LimitWarning"]!, JsonNode.Parse(warning.Body)!["data"]));
        seen.Add(warning);
        foreach (var one in seen)
        {
            Assert.Empty(SchemaCheck.Faults(Document, Schemas["WebhookEvent"]!, JsonNode.Parse(one.Body)));
            foreach (var header in Document["webhooks"]!["event"]!["post"]!["parameters"]!.AsArray()) Assert.Contains(header!["name"]!.GetValue<string>(), one.Headers.Keys);
        }
    }

    [Fact]
    public void LimitWarning_InTheGuide_MatchesOpenApiDocument()
    {
        var guide = File.ReadAllText(Repository.PathOf("docs", "webhooks.md"));
        var start = guide.IndexOf("```json\n{\n  \"type\": \"limit.warning\"", StringComparison.Ordinal) + "```json\n".Length;
        var shown = JsonNode.Parse(guide[start..guide.IndexOf("```", start, StringComparison.Ordinal)])!;
        Assert.Empty(SchemaCheck.Faults(Document, Schemas["WebhookEvent"]!, shown));
        Assert.Empty(SchemaCheck.Faults(Document, Schemas["LimitWarning"]!, shown["data"]));
        Assert.Equal(Fairlead.Limits.Thresholds.LimitWarning.Thresholds, Schemas["LimitWarning"]!["properties"]!["threshold_percent"]!["enum"]!.AsArray().Select(one => (int)one!.GetValue<long>()));
    }

    private static IEnumerable<string> Names(JsonNode list) => list.AsArray().Select(name => name!.GetValue<string>());
}
