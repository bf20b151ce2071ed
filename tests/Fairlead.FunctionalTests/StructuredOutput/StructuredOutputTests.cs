using System.Net;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Limits;
using Fairlead.Scheduling;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.FunctionalTests.StructuredOutput;

/// <summary>
/// Structured output of the gateway's own dialect, in every delivery mode. The tests script the responses of the model server.
/// </summary>
public sealed class StructuredOutputTests : IAsyncLifetime
{
    private const string Schema = """{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"},"tags":{"type":"array","items":{"type":"string"}}},"required":["name","age","tags"],"additionalProperties":false}""";
    private const string Good = """{"name":"Ada","age":36,"tags":["a","b"]}""";
    private const string Bad = """{"name":"Ada","age":"old","tags":["a"]}""";

    private FakeUpstream _upstream = null!;
    private TestGateway _gateway = null!;
    private Queue<string> _answers = new();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _upstream.Answer = AnswerAsync;
        _gateway = await TestGateway.StartAsync(_upstream.Yaml() + """

              retry: { maxRetries: 0 }
              jobs: { maxRuns: 1 }
            """);
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _upstream.DisposeAsync();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(64)]
    public async Task Stream_PartialMode_EmitsEachValueOnceComplete(int batchTokens)
    {
        _answers = new([Good]);
        var events = await EventsAsync(Request(stream: batchTokens));
        var partials = events.Where(one => one.Type == "output.partial").Select(one => (one.Data.GetProperty("pointer").GetString(), one.Data.GetProperty("value").ToString()));
        Assert.Equal([("/name", "Ada"), ("/age", "36"), ("/tags/0", "a"), ("/tags/1", "b"), ("/tags", """["a","b"]"""), ("", Good)], partials);
        Assert.Equal(Enumerable.Range(0, events.Count), events.Select(one => one.Data.GetProperty("sequence_number").GetInt32()));
        // A value never comes before the text that it is made of.
        var text = "";
        foreach (var (type, data) in events)
        {
            if (type == "output.text.delta") text += data.GetProperty("text").GetString();
            if (type == "output.partial") Assert.Contains(data.GetProperty("value").GetRawText(), text, StringComparison.Ordinal);
        }
        Assert.Equal(Good, text);
        var done = events[^1];
        Assert.Equal("generation.completed", done.Type);
        var generation = done.Data.GetProperty("generation");
        Assert.True(generation.GetProperty("quality").GetProperty("schema_valid").GetBoolean());
        Assert.Equal("[]", generation.GetProperty("violations").ToString());
        Assert.Equal(Good, generation.GetProperty("output_text").GetString());
        Balanced();
    }

    [Fact]
    public async Task Stream_OutputViolatesSchema_EndsIncompleteWithViolations()
    {
        _answers = new([Bad]);
        var events = await EventsAsync(Request());
        Assert.Equal(["/name", "/tags/0", "/tags"], events.Where(one => one.Type == "output.partial").Select(one => one.Data.GetProperty("pointer").GetString()));
        Assert.Equal("generation.incomplete", events[^1].Type);
        var generation = events[^1].Data.GetProperty("generation");
        Assert.Equal("invalid_output", generation.GetProperty("outcome").GetString());
        Assert.False(generation.GetProperty("quality").GetProperty("schema_valid").GetBoolean());
        Assert.Equal("/age", generation.GetProperty("violations")[0].GetProperty("pointer").GetString());
        Assert.Equal(JsonValueKind.Null, generation.GetProperty("error").ValueKind);
        Assert.Single(_upstream.Received);
        Balanced();
    }

    [Fact]
    public async Task Stream_Repair_AsksModelAgainAndEmitsRepairEvent()
    {
        _answers = new([Bad, Good]);
        var events = await EventsAsync(Request(repair: true));
        var repair = events.FindIndex(one => one.Type == "output.repair");
        Assert.Equal("/age", events[repair].Data.GetProperty("violations")[0].GetProperty("pointer").GetString());
        Assert.Equal(Good, string.Concat(events.Skip(repair).Where(one => one.Type == "output.text.delta").Select(one => one.Data.GetProperty("text").GetString())));
        Assert.Equal("", events.Last(one => one.Type == "output.partial").Data.GetProperty("pointer").GetString());
        var generation = events[^1].Data.GetProperty("generation");
        Assert.Equal("completed", generation.GetProperty("status").GetString());
        Assert.Equal(Good, generation.GetProperty("output_text").GetString());
        Assert.Equal("[]", generation.GetProperty("violations").ToString());
        var attempts = generation.GetProperty("attempts").EnumerateArray().ToList();
        Assert.Equal(["invalid_output", "complete"], attempts.Select(one => one.GetProperty("outcome").GetString()));
        Assert.Equal(generation.GetProperty("cost").GetProperty("usd").GetDecimal(), attempts.Sum(one => one.GetProperty("cost_usd").GetDecimal()));
        Assert.All(attempts, one => Assert.True(one.GetProperty("cost_usd").GetDecimal() > 0));

        // The next request contains the model's output and its errors.
        var asked = _upstream.Received.Last().GetProperty("messages").EnumerateArray().ToList();
        Assert.Equal(Bad, asked[^2].GetProperty("content").GetString());
        Assert.Contains("/age: It is a string, not an integer.", asked[^1].GetProperty("content").GetString(), StringComparison.Ordinal);
        Balanced();
    }

    [Fact]
    public async Task Stream_RepairStillInvalid_EndsIncompleteAfterOneRepair()
    {
        _answers = new([Bad, "no JSON", Good]);
        var events = await EventsAsync(Request(repair: true));
        var generation = events[^1].Data.GetProperty("generation");
        Assert.Equal("invalid_output", generation.GetProperty("outcome").GetString());
        Assert.Equal("", generation.GetProperty("violations")[0].GetProperty("pointer").GetString());
        Assert.Equal("no JSON", generation.GetProperty("output_text").GetString());
        Assert.Equal(2, _upstream.Received.Count);
        Balanced();
    }

    [Fact]
    public async Task Stream_RepairCallFails_KeepsFirstOutput()
    {
        _answers = new([Bad, "503"]);
        var events = await EventsAsync(Request(repair: true));
        Assert.DoesNotContain(events, one => one.Type == "output.repair");
        var generation = events[^1].Data.GetProperty("generation");
        Assert.Equal("invalid_output", generation.GetProperty("outcome").GetString());
        Assert.Equal(Bad, generation.GetProperty("output_text").GetString());
        Assert.Equal("/age", generation.GetProperty("violations")[0].GetProperty("pointer").GetString());
        Assert.Equal("repair_failed", generation.GetProperty("warnings")[0].GetProperty("code").GetString());
        Balanced();
    }

    /// <summary>The first attempt has ended, so the repair must not wait for the slot that it had.</summary>
    [Theory]
    [InlineData("stream")]
    [InlineData("sync")]
    [InlineData("job")]
    public async Task Repair_DeploymentWithOneSlot_NeedNotWait(string mode)
    {
        await using var gateway = await TestGateway.StartAsync(
            _upstream.Yaml().Replace("model: upstream-m", "model: upstream-m, maxConcurrency: 1", StringComparison.Ordinal));
        _answers = new([Bad, Good]);
        JsonElement generation;
        if (mode == "stream")
        {
            using var response = await gateway.Client.PostJsonAsync("/v2/generations", Request(repair: true));
            generation = Parse(await response.Content.ReadAsStringAsync(Cancel))[^1].Data.GetProperty("generation");
        }
        else
        {
            generation = await gateway.Client.PostForJsonAsync("/v2/generations", Request(mode: mode, repair: true));
            if (mode == "job") generation = await gateway.Client.GetJsonAsync($"/v2/generations/{generation.GetProperty("id").GetString()}?wait=60");
        }
        Assert.Equal("completed", generation.GetProperty("status").GetString());
        Assert.Equal(Good, generation.GetProperty("output_text").GetString());
        Assert.Equal(2, generation.GetProperty("attempts").GetArrayLength());
        Assert.Equal(0, gateway.Services.GetRequiredService<DeploymentSlots>().TakenAt("up/upstream-m"));
    }

    [Fact]
    public async Task Sync_Repair_CompletesBeforeResponse()
    {
        _answers = new([Bad, Good]);
        var generation = await _gateway.Client.PostForJsonAsync("/v2/generations", Request(mode: "sync", repair: true));
        Assert.Equal("completed", generation.GetProperty("status").GetString());
        Assert.Equal(Good, generation.GetProperty("output_text").GetString());
        Assert.Equal(2, generation.GetProperty("attempts").GetArrayLength());
        Balanced();

        _answers = new([Bad]);
        generation = await _gateway.Client.PostForJsonAsync("/v2/generations", Request(mode: "sync"));
        Assert.Equal("incomplete", generation.GetProperty("status").GetString());
        Assert.Equal("/age", generation.GetProperty("violations")[0].GetProperty("pointer").GetString());
    }

    [Fact]
    public async Task Job_OutputRepaired_AppearsInResultAndEvents()
    {
        _answers = new([Bad, Good]);
        using var accepted = await SendAsync(Request(mode: "job", repair: true));
        Assert.Equal(HttpStatusCode.Accepted, accepted.StatusCode);
        var id = JsonDocument.Parse(await accepted.Content.ReadAsStringAsync(Cancel)).RootElement.GetProperty("id").GetString();
        var done = JsonDocument.Parse(await _gateway.Client.GetStringAsync(new Uri($"/v2/generations/{id}?wait=60", UriKind.Relative), Cancel)).RootElement;
        Assert.Equal("completed", done.GetProperty("status").GetString());
        Assert.Equal(Good, done.GetProperty("output_text").GetString());
        Assert.True(done.GetProperty("quality").GetProperty("schema_valid").GetBoolean());
        var events = Parse(await _gateway.Client.GetStringAsync(new Uri($"/v2/generations/{id}/events", UriKind.Relative), Cancel));
        var repair = events.FindIndex(one => one.Type == "output.repair");
        Assert.True(repair > 0);
        Assert.Equal(["/name", "/age", "/tags/0", "/tags/1", "/tags", ""], events.Skip(repair).Where(one => one.Type == "output.partial").Select(one => one.Data.GetProperty("pointer").GetString()));
        Assert.Equal(Enumerable.Range(0, events.Count), events.Select(one => one.Data.GetProperty("sequence_number").GetInt32()));
        Balanced();
    }

    [Fact]
    public async Task Stream_MaxTokensReached_EndsWithLengthAndIsNotRepaired()
    {
        _answers = new(["length:" + Bad]);
        var events = await EventsAsync(Request(repair: true));
        var generation = events[^1].Data.GetProperty("generation");
        Assert.Equal("length", generation.GetProperty("outcome").GetString());
        Assert.Equal(JsonValueKind.Null, generation.GetProperty("quality").GetProperty("schema_valid").ValueKind);
        Assert.False(generation.TryGetProperty("violations", out _));
        Assert.Single(_upstream.Received);
    }

    [Fact]
    public async Task SimulatedModel_InvalidOutput_IsRepaired()
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v2/generations") { Content = new StringContent(Request(repair: true, model: "sim-json"), Encoding.UTF8, "application/json") };
        request.Headers.Add("Fairlead-Simulate", "invalid_output=1");
        using var response = await _gateway.Client.SendAsync(request, Cancel);
        var events = Parse(await response.Content.ReadAsStringAsync(Cancel));
        Assert.Contains(events, one => one.Type == "output.repair");
        Assert.Equal("generation.completed", events[^1].Type);
    }

    private static string Foreign(string path, bool stream, string more = "") => path == "/v1/chat/completions"
        ? $$$"""{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":{{{(stream ? "true" : "false")}}},"response_format":{"type":"json_schema","json_schema":{"name":"person","schema":{{{Schema}}}}},"fairlead":{"structured":"partial","batch_tokens":1}{{{more}}}}"""
        : $$$"""{"model":"m","input":"hi","stream":{{{(stream ? "true" : "false")}}},"text":{"format":{"type":"json_schema","name":"person","schema":{{{Schema}}}}},"fairlead":{"structured":"partial","batch_tokens":1}{{{more}}}}""";

    [Theory]
    [InlineData("/v1/chat/completions")]
    [InlineData("/v1/responses")]
    public async Task StructuredPartial_OtherDialect_StreamsSameValues(string path)
    {
        _upstream.Answer = AnswerAsync;
        _answers = new Queue<string>([Good]);
        var wanted = (await EventsAsync(Request())).Where(one => one.Type == "output.partial").Select(one => (one.Data.GetProperty("pointer").GetString(), one.Data.GetProperty("value").GetRawText())).ToList();
        Assert.NotEmpty(wanted);

        _answers = new Queue<string>([Good]);
        using var content = new StringContent(Foreign(path, stream: true), Encoding.UTF8, "application/json");
        using var response = await _gateway.Client.PostAsync(new Uri(path, UriKind.Relative), content, Cancel);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.IsSuccessStatusCode, text);
        var events = text.Split('\n').Where(line => line.StartsWith("data: {", StringComparison.Ordinal)).Select(line => JsonDocument.Parse(line[6..]).RootElement).ToList();
        Assert.Equal(Enumerable.Range(0, events.Count), events.Select(one => one.GetProperty("sequence_number").GetInt32()));
        var chat = path == "/v1/chat/completions";
        var values = chat
            ? events.Where(one => one.TryGetProperty("fairlead", out var own) && own.TryGetProperty("partial", out _)).Select(one => one.GetProperty("fairlead").GetProperty("partial"))
            : events.Where(one => one.GetProperty("type").GetString() == "fairlead:output.partial");
        Assert.Equal(wanted, values.Select(one => (one.GetProperty("pointer").GetString(), one.GetProperty("value").GetRawText())));
        var written = chat
            ? events.SelectMany(one => one.GetProperty("choices").EnumerateArray()).Select(one => one.GetProperty("delta").TryGetProperty("content", out var words) ? words.GetString() : "")
            : events.Where(one => one.GetProperty("type").GetString() == "response.output_text.delta").Select(one => one.GetProperty("delta").GetString());
        Assert.Equal(Good, string.Concat(written));
        Balanced();
    }

    [Theory]
    [InlineData("/v1/chat/completions")]
    [InlineData("/v1/responses")]
    public async Task StructuredOutput_InvalidInOtherDialect_ReportsViolations(string path)
    {
        _upstream.Answer = AnswerAsync;
        foreach (var stream in (bool[])[true, false])
        {
            _answers = new Queue<string>([Bad]);
            using var content = new StringContent(Foreign(path, stream), Encoding.UTF8, "application/json");
            using var response = await _gateway.Client.PostAsync(new Uri(path, UriKind.Relative), content, Cancel);
            var text = await response.Content.ReadAsStringAsync(Cancel);
            Assert.True(response.IsSuccessStatusCode, text);
            var last = JsonDocument.Parse(stream ? text.Split('\n').Last(line => line.StartsWith("data: {", StringComparison.Ordinal))[6..] : text).RootElement;
            if (stream && path == "/v1/responses")
            {
                Assert.Equal("response.incomplete", last.GetProperty("type").GetString());
                last = last.GetProperty("response");
            }
            if (path == "/v1/responses") Assert.Equal("invalid_output", last.GetProperty("incomplete_details").GetProperty("reason").GetString());
            var own = last.GetProperty("fairlead");
            Assert.Equal("invalid_output", own.GetProperty("outcome").GetString());
            Assert.False(own.GetProperty("quality").GetProperty("schema_valid").GetBoolean());
            Assert.NotEmpty(own.GetProperty("violations").EnumerateArray());
        }
        Balanced();
    }

    [Theory]
    [InlineData("/v1/chat/completions", """{"model":"m","messages":[{"role":"user","content":"hi"}],"fairlead":{"structured":"partial"}}""", "fairlead.structured")]
    [InlineData("/v1/chat/completions", """{"model":"m","n":2,"messages":[{"role":"user","content":"hi"}],"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object"}}},"fairlead":{"structured":"partial"}}""", "fairlead.structured")]
    [InlineData("/v1/chat/completions", """{"model":"m","messages":[{"role":"user","content":"hi"}],"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"not":{}}}},"fairlead":{"structured":"partial"}}""", "response_format")]
    [InlineData("/v1/responses", """{"model":"m","input":"hi","fairlead":{"structured":"partial"}}""", "fairlead.structured")]
    [InlineData("/v1/completions", """{"model":"m","prompt":"hi","fairlead":{"structured":"partial"}}""", "fairlead.structured")]
    [InlineData("/v1/chat/completions", """{"model":"m","messages":[{"role":"user","content":"hi"}],"fairlead":{"structured":"all"}}""", "fairlead.structured")]
    public async Task StructuredPartial_UnsupportedInOtherDialect_Returns400(string path, string body, string parameter)
    {
        using var content = new StringContent(body, Encoding.UTF8, "application/json");
        using var response = await _gateway.Client.PostAsync(new Uri(path, UriKind.Relative), content, Cancel);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal(parameter, JsonDocument.Parse(text).RootElement.GetProperty("error").GetProperty("param").GetString());
        Assert.Empty(_upstream.Received);
    }

    [Theory]
    [InlineData("""{"format":"json_schema","schema":{"not":{}},"structured":"partial"}""", "/output/schema/not")]
    [InlineData("""{"format":"json_schema","schema":{"type":"object"},"repair":true}""", "/output/repair")]
    [InlineData("""{"format":"json","structured":"partial"}""", "/output/structured")]
    [InlineData("""{"format":"json_schema","schema":{"type":"object"},"structured":"all"}""", "/output/structured")]
    public async Task Request_UnsatisfiableOutputOption_Returns400WithPointer(string output, string pointer)
    {
        using var response = await SendAsync($$"""{"model":"m","input":"hi","output":{{output}}}""");
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        var problem = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Cancel)).RootElement;
        Assert.Equal(pointer, problem.GetProperty("errors")[0].GetProperty("pointer").GetString());
        Assert.Empty(_upstream.Received);
    }

    private static string Request(int? stream = null, bool repair = false, string mode = "stream", string model = "m")
    {
        var options = stream is { } tokens ? $$$""","stream":{"batch_tokens":{{{tokens}}}}""" : "";
        return $$$"""{"model":"{{{model}}}","input":"hi","output":{"format":"json_schema","schema":{{{Schema}}},"structured":"partial"{{{(repair ? ",\"repair\":true" : "")}}}},"delivery":{"mode":"{{{mode}}}"}{{{options}}}}""";
    }

    private Task<HttpResponseMessage> SendAsync(string body) => _gateway.Client.PostJsonAsync("/v2/generations", body, completion: HttpCompletionOption.ResponseContentRead);

    private async Task<List<(string Type, JsonElement Data)>> EventsAsync(string body)
    {
        using var response = await SendAsync(body);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.IsSuccessStatusCode, text);
        return Parse(text);
    }

    private static List<(string Type, JsonElement Data)> Parse(string stream) =>
        [.. stream.Split("\n\n", StringSplitOptions.RemoveEmptyEntries).Select(one => one.Split('\n').FirstOrDefault(line => line.StartsWith("data: ", StringComparison.Ordinal))).OfType<string>()
            .Select(line => JsonDocument.Parse(line[6..]).RootElement).Select(data => (data.GetProperty("type").GetString()!, data))];

    private void Balanced() => Assert.Equal(0, ((InMemoryTokenLedger)_gateway.Services.GetRequiredService<ITokenLedger>()).Totals().Open);

    /// <summary>Sends the next response, three characters at a time.</summary>
    private async Task AnswerAsync(HttpContext context)
    {
        var text = _answers.Dequeue();
        if (text == "503")
        {
            await FakeUpstream.Json(context, """{"error":{"message":"down"}}""", 503);
            return;
        }
        var finish = text.StartsWith("length:", StringComparison.Ordinal) ? "length" : "stop";
        if (finish == "length") text = text[7..];
        var request = (JsonElement)context.Items[FakeUpstream.RequestItem]!;
        if (!request.TryGetProperty("stream", out var stream) || !stream.GetBoolean())
        {
            await FakeUpstream.Json(context, FakeUpstream.Completion(text, finish));
            return;
        }
        await FakeUpstream.BeginAsync(context);
        foreach (var piece in text.Chunk(3)) await FakeUpstream.SendAsync(context, FakeUpstream.Chunk($$"""{"content":{{JsonSerializer.Serialize(new string(piece))}}}"""));
        await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("{}", finish), FakeUpstream.UsageChunk(), "[DONE]");
    }
}
