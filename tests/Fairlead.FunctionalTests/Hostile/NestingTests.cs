using System.Text.Json.Nodes;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Hostile;

/// <summary>A gateway that takes bodies nested as deeply as can be configured.</summary>
public sealed class DeepGateway : HostileGateway
{
    protected override int MaxDepth => 256;
}

/// <summary>Depth that the configuration allows is no failure anywhere: not where a body is read again, not where a provider's request is written.</summary>
public sealed class NestingTests(DeepGateway world) : IClassFixture<DeepGateway>
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<string> Doors => [.. HostileDoor.All.Where(door => !door.IsAdmin).Select(door => door.Name)];

    [Theory]
    [MemberData(nameof(Doors))]
    public async Task Body_NestedToConfiguredDepth_IsProcessedOrRefused(string name)
    {
        var door = HostileDoor.All.Single(door => door.Name == name);
        var run = new HostileRun(world);
        await run.SendAsync(door, Mutations.Deep(door.ValidBody(world), 100, 200, 240, 300), Token);
        run.Verify("Deep");
        await world.HoldsNothingAsync(Token);
    }

    [Theory]
    [InlineData("chat", """{"model":"chatclient","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"a","parameters":{"type":"object","properties":{"p":DEEP}}}}]}""")]
    [InlineData("chat", """{"model":"sim-json","messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object","properties":{"p":DEEP}}}}}""")]
    [InlineData("embeddings", """{"model":"sim-embed","input":"x","vendor":DEEP}""")]
    [InlineData("messages", """{"model":"claude","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"a","input":{"p":DEEP}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"y"}]}]}""")]
    [InlineData("messages", """{"model":"native","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"a","input":{"p":DEEP}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"y"}]}]}""")]
    [InlineData("messages", """{"model":"gemini","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"a","input":{"p":DEEP}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"y"}]}]}""")]
    [InlineData("messages", """{"model":"chatclient","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"a","input":{"p":DEEP}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"y"}]}]}""")]
    public async Task Body_DeeperThanDefaultJsonMaxDepth_IsAccepted(string client, string body)
    {
        var path = client switch { "chat" => "/v1/chat/completions", "messages" => "/v1/messages", _ => "/v1/embeddings" };
        var deep = string.Concat(Enumerable.Repeat("{\"a\":", 120)) + "{}" + new string('}', 120);
        await world.Gateway.Client.PostForJsonAsync(path, body.Replace("DEEP", deep, StringComparison.Ordinal));
    }
}
