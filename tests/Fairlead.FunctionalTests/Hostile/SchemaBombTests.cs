using System.Net;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Processes;

namespace Fairlead.FunctionalTests.Hostile;

/// <summary>The program gets schemas designed to crash it, at every entry point. It responds to each and continues to run.</summary>
public sealed class SchemaBombTests : IAsyncLifetime
{
    private const string Circle = """{"type":"object","properties":{"a":{"$ref":"#/$defs/a"}},"required":["a"],"$defs":{"a":{"allOf":[{"$ref":"#/$defs/a"}]}}}""";

    private EveryKindServer _world = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private static string Chain(int count) => Nest(count, i => $$"""{"$ref":"#/$defs/d{{i}}"}""");

    private static string Doubling => Nest(60, i => $$"""{"minLength":0,"allOf":[{"$ref":"#/$defs/d{{i}}"},{"$ref":"#/$defs/d{{i}}"}]}""");

    private static string Wide => """{"type":"array","minItems":1000,"items":{"type":"array","minItems":20,"items":{"allOf":[""" + string.Join(',', Enumerable.Range(0, 3_000).Select(i => $$$$"""{"properties":{"p{{{{i}}}}":{"const":"{{{{new string('x', 200)}}}}"}}}""")) + "]}}}";

    public async ValueTask InitializeAsync() => _world = await EveryKindServer.StartAsync();

    public ValueTask DisposeAsync() => _world.DisposeAsync();

    [Fact]
    public async Task SchemaBomb_EveryEndpoint_GetsResponseAndProcessSurvives()
    {
        foreach (var schema in (string[])[Circle, Chain(9_990), Doubling, Wide])
        {
            foreach (var (path, body) in WaysIn(schema))
            {
                using var response = await ProcessCalls.PostAsync(_world.Server, _world.Key, body, path);
                var text = await response.Content.ReadAsStringAsync(Cancel);
                Assert.True((int)response.StatusCode is 200 or 202 or 400 or 413 or 502, $"{path} {(int)response.StatusCode} {text[..Math.Min(400, text.Length)]} for {body[..Math.Min(300, body.Length)]}");
                Assert.False(_world.Server.Process.HasExited);
            }
        }
        await CallStillWorksAsync();
    }

    [Fact]
    public async Task SchemaBomb_AsJobAndBatchLine_EndsAndProcessSurvives()
    {
        using var client = _world.MakeClient();
        string[] bodies = [.. ((string[])[Circle, Chain(9_990), Doubling]).Select(Simulated)];
        foreach (var body in bodies)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions") { Content = new StringContent(body, Encoding.UTF8, "application/json") };
            request.Headers.Add("Prefer", "respond-async");
            using var response = await client.SendAsync(request, Cancel);
            var accepted = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Cancel)).RootElement;
            Assert.Equal(HttpStatusCode.Accepted, response.StatusCode);
            await EndsAsync(client, $"/v2/generations/{accepted.GetProperty("id").GetString()}?wait=30", "queued", "in_progress");
        }
        var file = await Batches.BatchCalls.UploadedAsync(client, bodies.Select((body, i) => $$"""{"custom_id":"l{{i}}","method":"POST","url":"/v1/chat/completions","body":{{body}}}"""));
        var batch = await Batches.BatchCalls.CreatedAsync(client, file);
        var ended = await EndsAsync(client, $"/v1/batches/{batch}", "validating", "in_progress", "finalizing");
        Assert.Equal("completed", ended.GetProperty("status").GetString());
        await CallStillWorksAsync();
    }

    [Fact]
    public async Task SchemaPatterns_ManyConcurrently_UseLittleTimeAndMemory()
    {
        var patterns = string.Join(',', Enumerable.Range(0, 9_000).Select(i => $$"""
            "p{{i}}":{"type":"string","pattern":"^[a-z]{1,20}[0-9]{1,30}x{{i}}$"}
            """.Trim()));
        var largest = string.Join(',', Enumerable.Range(0, 100).Select(i => $$"""
            "p{{i}}":{"type":"string","pattern":"^[a-z{{i}}]{1,40}[0-9]{1,40}$"}
            """.Trim()));
        // An unknown model, and a known one.
        string[] bodies = [V2("no-such-model", "{\"type\":\"object\",\"properties\":{" + patterns + "}}"), V2("sim-json", "{\"type\":\"object\",\"properties\":{" + patterns + "}}"), V2("no-such-model", "{\"type\":\"object\",\"properties\":{" + largest + "}}"), V2("sim-json", "{\"type\":\"object\",\"properties\":{" + largest + "}}")];
        await CallStillWorksAsync();
        foreach (var body in bodies)
        {
            await Task.WhenAll(Enumerable.Range(0, 16).Select(async _ =>
            {
                using var response = await ProcessCalls.PostAsync(_world.Server, _world.Key, body, "/v2/generations");
                await response.Content.ReadAsStringAsync(Cancel);
            }));
        }
        await CallStillWorksAsync();
        _world.Server.Process.Refresh();
        Assert.True(_world.Server.Process.PeakWorkingSet64 < 1_500_000_000, $"{_world.Server.Process.PeakWorkingSet64:N0} bytes");
    }

    private async Task CallStillWorksAsync()
    {
        using var response = await ProcessCalls.PostAsync(_world.Server, _world.Key, """{"model":"sim-echo","messages":[{"role":"user","content":"still here"}]}""");
        Assert.Contains("still here", await response.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
    }

    private static async Task<JsonElement> EndsAsync(HttpClient client, string path, params string[] before)
    {
        for (var looks = 0; ; looks++)
        {
            Assert.True(looks < 600, $"{path} is stuck.");
            var state = JsonDocument.Parse(await client.GetStringAsync(new Uri(path, UriKind.Relative), Cancel)).RootElement;
            if (!before.Contains(state.GetProperty("status").GetString())) return state;
            await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, Cancel);
        }
    }

    private static string Simulated(string schema) =>
        """{"model":"sim-json","messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":SCHEMA}}}""".Replace("SCHEMA", schema, StringComparison.Ordinal);

    private static string V2(string model, string schema) =>
        """{"model":"MODEL","input":"x","delivery":{"mode":"sync"},"output":{"format":"json_schema","strict":false,"structured":"partial","schema":SCHEMA}}"""
            .Replace("MODEL", model, StringComparison.Ordinal).Replace("SCHEMA", schema, StringComparison.Ordinal);

    private static IEnumerable<(string Path, string Body)> WaysIn(string schema)
    {
        const string chat = "/v1/chat/completions", messages = "/v1/messages", responses = "/v1/responses", v2 = "/v2/generations";
        foreach (var model in (string[])["sim-json", "sim-tools", .. EveryKindServer.Models])
        {
            string Made(string body) => body.Replace("MODEL", model, StringComparison.Ordinal).Replace("SAID", """ "messages":[{"role":"user","content":"x"}] """, StringComparison.Ordinal).Replace("SCHEMA", schema, StringComparison.Ordinal);
            yield return (chat, Made("""{"model":"MODEL",SAID,"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":SCHEMA}}}"""));
            yield return (chat, Made("""{"model":"MODEL",SAID,"response_format":{"type":"json_schema","json_schema":{"name":"a","strict":true,"schema":SCHEMA}}}"""));
            yield return (chat, Made("""{"model":"MODEL",SAID,"fairlead":{"structured":"partial"},"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":SCHEMA}}}"""));
            yield return (chat, Made("""{"model":"MODEL",SAID,"tool_choice":"required","tools":[{"type":"function","function":{"name":"t","parameters":SCHEMA}}]}"""));
            yield return (chat, Made("""{"model":"MODEL",SAID,"tools":[{"type":"function","function":{"name":"t","strict":true,"parameters":SCHEMA}}]}"""));
            yield return (messages, Made("""{"model":"MODEL","max_tokens":500,SAID,"tool_choice":{"type":"any"},"tools":[{"name":"t","input_schema":SCHEMA}]}"""));
            yield return (messages, Made("""{"model":"MODEL","max_tokens":500,SAID,"output_config":{"format":{"type":"json_schema","schema":SCHEMA}}}"""));
            yield return (responses, Made("""{"model":"MODEL","input":"x","tool_choice":"required","tools":[{"type":"function","name":"t","parameters":SCHEMA}]}"""));
            yield return (responses, Made("""{"model":"MODEL","input":"x","text":{"format":{"type":"json_schema","name":"a","schema":SCHEMA}}}"""));
            yield return (responses, Made("""{"model":"MODEL","input":"x","fairlead":{"structured":"partial"},"text":{"format":{"type":"json_schema","name":"a","schema":SCHEMA}}}"""));
            yield return (v2, V2(model, schema));
            yield return (v2, Made("""{"model":"MODEL","input":"x","delivery":{"mode":"sync"},"tool_choice":"required","tools":[{"name":"t","parameters":SCHEMA}]}"""));
        }
    }

    private static string Nest(int count, Func<int, string> link) =>
        """{"type":"object","properties":{"a":{"$ref":"#/$defs/d0"}},"required":["a"],"$defs":{""" + string.Join(',', Enumerable.Range(0, count).Select(i => $"\"d{i}\":{link(i + 1)}")) + $",\"d{count}\":" + """{"type":"string"}}}""";
}
