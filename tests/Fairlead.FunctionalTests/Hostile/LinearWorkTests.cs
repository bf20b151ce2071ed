using System.Globalization;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;

namespace Fairlead.FunctionalTests.Hostile;

/// <summary>
/// Whatever a client sends many of, the work grows with their number and not faster: ten times as many, up to a body of 1 MB, cost at most twenty times the processor time of the server's
/// process. That holds for what is refused too. The least of several tries counts, since collections and compilations fall into some of them.
/// </summary>
public sealed class LinearWorkTests : IAsyncLifetime
{
    private const int Bytes = 1_000_000;
    private const int MaxGrowth = 20;
    private const int MaxTries = 6;

    // What one call costs whatever is in it, and the clock's own coarseness.
    private static readonly TimeSpan Base = TimeSpan.FromMilliseconds(2);

    private EveryKindServer _world = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public static TheoryData<string> Dialects => ["chat", "messages", "responses", "generations", "others"];

    public async ValueTask InitializeAsync() => _world = await EveryKindServer.StartAsync();

    public ValueTask DisposeAsync() => _world.DisposeAsync();

    [Theory]
    [MemberData(nameof(Dialects))]
    public async Task Body_TenTimesAsManyItems_CostsAtMostTwentyTimes(string dialect)
    {
        using var client = _world.MakeClient();
        client.DefaultRequestHeaders.Add("anthropic-version", "2023-06-01");
        var tooMuch = new List<string>();
        foreach (var (name, path, make) in Shapes(dialect))
        {
            var most = Largest(make);
            var (few, many) = (make(Math.Max(1, most / 10)), make(most));
            var fault = await CompareAsync($"{name} × {most}", () => PostAsync(client, path, few), () => PostAsync(client, path, many));
            if (fault is not null) tooMuch.Add(fault);
        }
        Assert.True(tooMuch.Count == 0, string.Join('\n', tooMuch));
    }

    [Fact]
    public async Task HeadersQueriesAndPaths_TenTimesAsLong_CostAtMostTwentyTimes()
    {
        using var client = _world.MakeClient();
        const string body = """{"model":"sim-echo","max_tokens":2,"messages":[{"role":"user","content":"x"}]}""";
        (string Name, Func<int, HttpRequestMessage> Make)[] shapes =
        [
            ("headers", n => With(Post("/v1/chat/completions", body), Enumerable.Range(0, n / 400).Select(i => ($"x-h{i}", "v")))),
            ("Prefer", n => With(Post("/v1/chat/completions", body), [("Prefer", Repeat("a=1,", n / 5) + "b")])),
            ("Accept", n => With(Post("/v1/chat/completions", body), [("Accept", Repeat("a/b;q=0.1,", n / 10) + "*/*")])),
            ("anthropic-beta", n => With(Post("/v1/messages", body), [("anthropic-beta", Repeat("a,", n / 2) + "b"), ("anthropic-version", "2023-06-01")])),
            ("Fairlead-Simulate", n => With(Post("/v1/chat/completions", body), [("Fairlead-Simulate", Repeat("first_token=0ms;", n / 16) + "first_token=0ms")])),
            ("traceparent and tracestate", n => With(Post("/v1/chat/completions", body), [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), ("tracestate", Repeat("a=1,", n / 4) + "b=2")])),
            ("query", n => new HttpRequestMessage(HttpMethod.Get, "/v1/files?" + Repeat("a=1&", n / 17) + "limit=1")),
            ("query, one name", n => new HttpRequestMessage(HttpMethod.Get, "/v2/usage?" + Repeat("group_by=model&", n / 60) + "x=1")),
            ("cursor", n => new HttpRequestMessage(HttpMethod.Get, "/v1/files?after=" + new string('a', n / 5))),
            ("cursor of generations", n => new HttpRequestMessage(HttpMethod.Get, "/v2/generations?after=" + new string('a', n / 5))),
            ("id of a file", n => new HttpRequestMessage(HttpMethod.Get, "/v1/files/" + new string('a', n / 5))),
            ("id of a model", n => new HttpRequestMessage(HttpMethod.Get, "/v1/models/" + Repeat("a/", n / 10))),
            ("id of a response", n => new HttpRequestMessage(HttpMethod.Get, "/v1/responses/resp_" + new string('a', n / 5))),
            ("steps of a path", n => new HttpRequestMessage(HttpMethod.Get, "/v1" + Repeat("/a", n / 10))),
        ];
        var tooMuch = new List<string>();
        foreach (var (name, make) in shapes)
        {
            // Kestrel takes 32 KiB of headers.
            if (await CompareAsync(name, () => SendAsync(client, make(3_000)), () => SendAsync(client, make(30_000))) is { } fault) tooMuch.Add(fault);
        }
        Assert.True(tooMuch.Count == 0, string.Join('\n', tooMuch));
    }

    [Fact]
    public async Task UploadParts_TenTimesAsMany_CostAtMostTwentyTimes()
    {
        using var client = _world.MakeClient();
        (string Name, Func<int, string> Part)[] shapes =
        [
            ("parts", _ => "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nx\r\n"),
            ("headers of a part", i => i == 0 ? "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n" : $"x{i}: y\r\n"),
        ];
        foreach (var (name, part) in shapes)
        {
            string Make(int count) => string.Concat(Enumerable.Range(0, count).Select(part)) + "\r\nx\r\n--b--\r\n";
            var most = Largest(Make);
            var (few, many) = (Make(most / 10), Make(most));
            Assert.Null(await CompareAsync(name, () => UploadAsync(few), () => UploadAsync(many)));
        }

        async Task UploadAsync(string body)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/files") { Content = new ByteArrayContent(Encoding.UTF8.GetBytes(body)) };
            request.Content.Headers.TryAddWithoutValidation("Content-Type", "multipart/form-data; boundary=b");
            await SendAsync(client, request);
        }
    }

    [Fact]
    public async Task BatchLines_TenTimesAsMany_CostAtMostTwentyTimes()
    {
        using var client = _world.MakeClient();
        // Looked at and refused, so that no line runs: what a line costs when it runs is the cost of its call.
        const int most = Bytes / 120;
        var few = await Batches.BatchCalls.UploadedAsync(client, Lines(most / 10));
        var many = await Batches.BatchCalls.UploadedAsync(client, Lines(most));
        Assert.Null(await CompareAsync("lines", () => RunAsync(few), () => RunAsync(many)));

        static IEnumerable<string> Lines(int count) => Enumerable.Range(0, count).Select(i => Batches.BatchCalls.Line(i == count - 1 ? "l0" : $"l{i}", "x", "sim-fast"));

        async Task RunAsync(string file)
        {
            var batch = await Batches.BatchCalls.CreatedAsync(client, file);
            string? status;
            do
            {
                await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, Cancel);
                status = JsonDocument.Parse(await client.GetStringAsync(new Uri($"/v1/batches/{batch}", UriKind.Relative), Cancel)).RootElement.GetProperty("status").GetString();
            }
            while (status is "validating");
            Assert.Equal("failed", status);
        }
    }

    [Fact]
    public async Task SocketMessages_TenTimesAsMany_CostAtMostTwentyTimes()
    {
        using var socket = new ClientWebSocket();
        socket.Options.SetRequestHeader("Authorization", "Bearer " + _world.Key);
        await socket.ConnectAsync(new Uri(_world.Server.Address.Replace("http:", "ws:", StringComparison.Ordinal) + "/v1/responses"), Cancel);
        Assert.Null(await CompareAsync("messages", () => TalkAsync(500), () => TalkAsync(5_000)));

        async Task TalkAsync(int count)
        {
            var buffer = new byte[16 * 1024];
            for (var i = 0; i < count; i++)
            {
                await socket.SendAsync("""{"type":"x"}"""u8.ToArray(), WebSocketMessageType.Text, endOfMessage: true, Cancel);
                while (!(await socket.ReceiveAsync(buffer, Cancel)).EndOfMessage)
                {
                }
            }
        }
    }

    [Theory]
    [InlineData("chat")]
    [InlineData("messages")]
    [InlineData("responses")]
    [InlineData("v2")]
    public async Task ToolCallsInResponse_TenTimesAsMany_CostAtMostTwentyTimes(string dialect)
    {
        const int most = 4_000;
        using var client = _world.MakeClient();
        client.DefaultRequestHeaders.Add("anthropic-version", "2023-06-01");
        var tooMuch = new List<string>();
        foreach (var (model, stream) in EveryKindServer.Models.SelectMany(model => new[] { (model, false), (model, true) }))
        {
            var kind = model == "native" ? dialect == "responses" ? "responses" : "chat" : model;
            var (few, many) = (ManyCalls.Reply(kind, stream, most / 10), ManyCalls.Reply(kind, stream, most));
            var wish = $"\"model\":\"{model}\",\"max_tokens\":2000,\"stream\":{(stream ? "true" : "false")}";
            var (path, body) = dialect switch
            {
                "chat" => ("/v1/chat/completions", $$"""{{{wish}},"messages":[{"role":"user","content":"x"}]}"""),
                "messages" => ("/v1/messages", $$"""{{{wish}},"messages":[{"role":"user","content":"x"}]}"""),
                "responses" => ("/v1/responses", $$"""{{{wish.Replace("max_tokens", "max_output_tokens", StringComparison.Ordinal)}},"store":false,"input":"x"}"""),
                _ => ("/v2/generations", $$$"""{"model":"{{{model}}}","input":"x","delivery":{"mode":"{{{(stream ? "stream" : "sync")}}}"}}"""),
            };
            if (await CompareAsync($"{model} {(stream ? "streamed" : "whole")}", () => AskAsync(few, most / 10), () => AskAsync(many, most)) is { } fault) tooMuch.Add(fault);

            async Task AskAsync(Quirks.QuirkReply reply, int count)
            {
                _world.Upstream.Answer = reply.SendAsync;
                using var response = await client.PostAsync(new Uri(path, UriKind.Relative), new StringContent(body, Encoding.UTF8, "application/json"), Cancel);
                var text = await response.Content.ReadAsStringAsync(Cancel);
                Assert.True(response.IsSuccessStatusCode && text.Contains($"name{count - 1}\"", StringComparison.Ordinal), $"{dialect} {model}: {text[..Math.Min(600, text.Length)]}");
            }
        }
        Assert.True(tooMuch.Count == 0, string.Join('\n', tooMuch));
    }

    [Fact]
    public async Task UnknownFields_FiftyThousand_ReturnTwentyWarningsAndCount()
    {
        using var client = _world.MakeClient();
        var body = "{\"model\":\"sim-echo\",\"max_tokens\":2,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]," + Many(50_000, i => $"\"f{i}\":1") + "}";
        foreach (var path in (string[])["/v1/chat/completions", "/v1/messages"])
        {
            using var response = await client.PostAsync(new Uri(path, UriKind.Relative), new StringContent(body, Encoding.UTF8, "application/json"), Cancel);
            var text = await response.Content.ReadAsStringAsync(Cancel);
            Assert.True(response.IsSuccessStatusCode, text[..Math.Min(500, text.Length)]);
            Assert.True(text.Length < 10_000);
            var warnings = JsonDocument.Parse(text).RootElement.GetProperty("fairlead").GetProperty("warnings").EnumerateArray().ToList();
            Assert.Equal(21, warnings.Count);
            Assert.Equal(Enumerable.Range(0, 20).Select(i => true), warnings.Take(20).Select((one, i) => one.GetProperty("message").GetString()!.Contains($"'f{i}'", StringComparison.Ordinal)));
            Assert.Equal("warnings_omitted", warnings[^1].GetProperty("code").GetString());
            Assert.Equal("49980 more warnings are not listed.", warnings[^1].GetProperty("message").GetString());
            Assert.Equal("parameter_ignored, warnings_omitted", response.Headers.GetValues("Fairlead-Warning").Single());
        }
    }

    /// <summary>What was wrong, or null.</summary>
    private async Task<string?> CompareAsync(string name, Func<Task> few, Func<Task> many)
    {
        var (least, most) = (TimeSpan.MaxValue, TimeSpan.MaxValue);
        await few();
        for (var i = 0; i < MaxTries; i++)
        {
            least = Min(least, await MeasureAsync(few));
            most = Min(most, await MeasureAsync(many));
            if (most + Base <= MaxGrowth * (least + Base)) return null;
        }
        return string.Create(CultureInfo.InvariantCulture, $"{name}: {least.TotalMilliseconds:F1} ms, ten times as many {most.TotalMilliseconds:F1} ms");
    }

    private async Task<TimeSpan> MeasureAsync(Func<Task> call)
    {
        var before = ProcessorTime();
        await call();
        return ProcessorTime() - before;
    }

    private TimeSpan ProcessorTime()
    {
        var process = _world.Server.Process;
        Assert.False(process.HasExited);
        var threads = $"/proc/{process.Id}/task";
        if (!OperatingSystem.IsLinux())
        {
            process.Refresh();
            return process.TotalProcessorTime;
        }
        // In nanoseconds, which the process's own figure does not have.
        var sum = 0L;
        foreach (var thread in Directory.EnumerateDirectories(threads))
        {
            try
            {
                sum += long.Parse(File.ReadAllText(Path.Combine(thread, "schedstat")).Split(' ')[0], CultureInfo.InvariantCulture);
            }
            catch (IOException)
            {
                // It ended meanwhile.
            }
        }
        return TimeSpan.FromMicroseconds(sum / 1000.0);
    }

    private static TimeSpan Min(TimeSpan a, TimeSpan b) => a < b ? a : b;

    private static async Task PostAsync(HttpClient client, string path, byte[] body)
    {
        using var content = new ByteArrayContent(body);
        content.Headers.ContentType = new("application/json");
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = content };
        await SendAsync(client, request);
    }

    private static Task PostAsync(HttpClient client, string path, string body) => PostAsync(client, path, Encoding.UTF8.GetBytes(body));

    private static async Task SendAsync(HttpClient client, HttpRequestMessage request)
    {
        using var response = await client.SendAsync(request, Cancel);
        var text = await response.Content.ReadAsByteArrayAsync(Cancel);
        Assert.True((int)response.StatusCode < 500 || (int)response.StatusCode == 502, $"{request.RequestUri!.OriginalString[..Math.Min(60, request.RequestUri.OriginalString.Length)]} {(int)response.StatusCode} {Encoding.UTF8.GetString(text)[..Math.Min(300, text.Length)]}");
        request.Dispose();
    }

    private static HttpRequestMessage Post(string path, string body) => new(HttpMethod.Post, path) { Content = new StringContent(body, Encoding.UTF8, "application/json") };

    private static HttpRequestMessage With(HttpRequestMessage request, IEnumerable<(string Name, string Value)> headers)
    {
        foreach (var (name, value) in headers) request.Headers.TryAddWithoutValidation(name, value);
        return request;
    }

    /// <summary>The largest number of which the body is not longer than 1 MB.</summary>
    private static int Largest(Func<int, string> make)
    {
        var (fits, too) = (1, 2);
        while (Encoding.UTF8.GetByteCount(make(too)) <= Bytes) (fits, too) = (too, too * 2);
        for (var step = 0; step < 6 && too - fits > 1; step++)
        {
            var middle = fits + ((too - fits) / 2);
            if (Encoding.UTF8.GetByteCount(make(middle)) <= Bytes) fits = middle;
            else too = middle;
        }
        return fits;
    }

    private static string Many(int count, Func<int, string> one) => string.Join(',', Enumerable.Range(0, count).Select(one));

    private static string Repeat(string text, int count) => string.Concat(Enumerable.Repeat(text, count));

    private static IEnumerable<(string Name, string Path, Func<int, string> Make)> Shapes(string dialect)
    {
        // Request readers depend on the dialect and writers on the provider, so not every pair has separate code.
        string[] models = dialect is "chat" ? ["sim-fast", .. EveryKindServer.Models] : dialect is "messages" ? ["sim-fast", "native", "claude"] : ["sim-fast", "claude"];
        const string user = """{"role":"user","content":"x"}""";
        switch (dialect)
        {
            case "chat":
                foreach (var model in models)
                {
                    string Chat(string more) => $"{{\"model\":\"{model}\",\"max_tokens\":5,{more}}}";
                    string Said(string more) => Chat($"\"messages\":[{user}],{more}");
                    (string Name, Func<int, string> Make)[] shapes =
                    [
                        ("fields", n => Said(Many(n, i => $"\"f{i}\":1"))),
                        ("fields of a field", n => Said("\"vendor\":{" + Many(n, i => $"\"f{i}\":[]") + "}")),
                        ("messages", n => Chat($"\"messages\":[{Many(n, _ => user)}]")),
                        ("instructions", n => Chat("\"messages\":[" + Many(n, _ => """{"role":"system","content":"x"}""") + $",{user}]")),
                        ("parts", n => Chat("\"messages\":[{\"role\":\"user\",\"content\":[" + Many(n, _ => """{"type":"text","text":"x"}""") + "]}]")),
                        ("pictures", n => Chat("\"messages\":[{\"role\":\"user\",\"content\":[" + Many(n, _ => """{"type":"image_url","image_url":{"url":"https://a.b/c"}}""") + "]}]")),
                        ("calls and results, the last first", n => Chat($"\"messages\":[{user},{{\"role\":\"assistant\",\"tool_calls\":[" + Many(n, i => $"{{\"id\":\"\\u0063{i}\",\"type\":\"function\",\"function\":{{\"name\":\"t\",\"arguments\":\"{{}}\"}}}}") + "]}," + Many(n, i => $"{{\"role\":\"tool\",\"tool_call_id\":\"c{n - 1 - i}\",\"content\":\"x\"}}") + "]")),
                        ("results of one call", n => Chat($"\"messages\":[{user},{{\"role\":\"assistant\",\"tool_calls\":[{{\"id\":\"c\",\"type\":\"function\",\"function\":{{\"name\":\"t\",\"arguments\":\"{{}}\"}}}}]}}," + Many(n, _ => """{"role":"tool","tool_call_id":"c","content":"x"}""") + "]")),
                        ("tools", n => Said("\"tools\":[" + Many(n, i => $"{{\"type\":\"function\",\"function\":{{\"name\":\"t{i}\"}}}}") + "]")),
                        ("allowed tools", n => Said("\"tools\":[" + Many(n, i => $"{{\"type\":\"function\",\"function\":{{\"name\":\"t{i}\"}}}}") + "],\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"auto\",\"tools\":[" + Many(n, i => $"{{\"type\":\"function\",\"function\":{{\"name\":\"t{i}\"}}}}") + "]}}")),
                        ("stop", n => Said($"\"stop\":[{Many(n, _ => "\"a\"")}]")),
                        ("metadata", n => Said("\"metadata\":{" + Many(n, i => $"\"k{i}\":\"v\"") + "}")),
                        ("logit_bias", n => Said("\"logit_bias\":{" + Many(n, i => $"\"{i}\":1") + "}")),
                        ("one name many times", n => Said(Many(n, _ => "\"f\":1"))),
                        ("required", n => Said(Format("\"type\":\"object\",\"required\":[" + Many(n, i => $"\"p{i}\"") + "],\"properties\":{" + Many(n, i => $"\"p{i}\":{{\"type\":\"string\"}}") + "},\"additionalProperties\":false"))),
                        ("enum", n => Said(Format("\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[" + Many(n, i => $"\"v{i}\"") + "]}},\"required\":[\"a\"],\"additionalProperties\":false"))),
                        ("references", n => Said(Format("\"type\":\"object\",\"properties\":{\"a\":{\"anyOf\":[" + Many(n, i => $"{{\"$ref\":\"#/$defs/d{i}\"}}") + "]}},\"required\":[\"a\"],\"additionalProperties\":false,\"$defs\":{" + Many(n, i => $"\"d{i}\":{{\"type\":\"string\"}}") + "}"))),
                        ("steps of a reference", n => Said(Format("\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#" + Repeat("/properties/a", n) + "\"}},\"required\":[\"a\"],\"additionalProperties\":false"))),
                    ];
                    foreach (var (name, make) in shapes) yield return ($"{name}, {model}", "/v1/chat/completions", make);
                }
                break;
            case "messages":
                foreach (var model in models)
                {
                    string Body(string more) => $"{{\"model\":\"{model}\",\"max_tokens\":5,{more}}}";
                    string Said(string more) => Body($"\"messages\":[{user}],{more}");
                    (string Name, Func<int, string> Make)[] shapes =
                    [
                        ("fields", n => Said(Many(n, i => $"\"f{i}\":1"))),
                        ("messages", n => Body($"\"messages\":[{Many(n, _ => user)}]")),
                        ("blocks", n => Body("\"messages\":[{\"role\":\"user\",\"content\":[" + Many(n, _ => """{"type":"text","text":"x"}""") + "]}]")),
                        ("system", n => Said("\"system\":[" + Many(n, _ => """{"type":"text","text":"x"}""") + "]")),
                        ("uses and results, the last first", n => Body($"\"messages\":[{user},{{\"role\":\"assistant\",\"content\":[" + Many(n, i => $"{{\"type\":\"tool_use\",\"id\":\"c{i}\",\"name\":\"t\",\"input\":{{}}}}") + "]},{\"role\":\"user\",\"content\":[" + Many(n, i => $"{{\"type\":\"tool_result\",\"tool_use_id\":\"c{n - 1 - i}\",\"content\":\"x\"}}") + "]}]")),
                        ("tools", n => Said("\"tools\":[" + Many(n, i => $"{{\"name\":\"t{i}\",\"input_schema\":{{\"type\":\"object\"}}}}") + "]")),
                        ("settings of tools", n => Said("\"tools\":[" + Many(n, i => $"{{\"name\":\"t{i}\",\"input_schema\":{{\"type\":\"object\"}},\"x{i}\":1}}") + "]")),
                        ("settings of a tool", n => Said("\"tools\":[{\"name\":\"t\",\"input_schema\":{\"type\":\"object\"}," + Many(n, i => $"\"x{i}\":1") + "}]")),
                        ("stop_sequences", n => Said($"\"stop_sequences\":[{Many(n, _ => "\"a\"")}]")),
                        ("metadata", n => Said("\"metadata\":{" + Many(n, i => $"\"k{i}\":\"v\"") + "}")),
                        ("citations", n => Body($"\"messages\":[{user},{{\"role\":\"assistant\",\"content\":[{{\"type\":\"text\",\"text\":\"a\",\"citations\":[" + Many(n, _ => """{"type":"char_location"}""") + $"]}}]}},{user}]")),
                        ("thinking", n => Body($"\"messages\":[{user},{{\"role\":\"assistant\",\"content\":[" + Many(n, _ => """{"type":"thinking","thinking":"a","signature":"s"}""") + $",{{\"type\":\"text\",\"text\":\"a\"}}]}},{user}]")),
                    ];
                    foreach (var (name, make) in shapes) yield return ($"{name}, {model}", "/v1/messages", make);
                }
                break;
            case "responses":
                foreach (var model in models)
                {
                    string Body(string more) => $"{{\"model\":\"{model}\",\"max_output_tokens\":16,\"store\":false,{more}}}";
                    (string Name, Func<int, string> Make)[] shapes =
                    [
                        ("fields", n => Body("\"input\":\"x\"," + Many(n, i => $"\"f{i}\":1"))),
                        ("items", n => Body($"\"input\":[{Many(n, _ => user)}]")),
                        ("parts", n => Body("\"input\":[{\"role\":\"user\",\"content\":[" + Many(n, _ => """{"type":"input_text","text":"x"}""") + "]}]")),
                        ("calls and results, the last first", n => Body($"\"input\":[{user}," + Many(n, i => $"{{\"type\":\"function_call\",\"call_id\":\"c{i}\",\"name\":\"t\",\"arguments\":\"{{}}\"}}") + "," + Many(n, i => $"{{\"type\":\"function_call_output\",\"call_id\":\"c{n - 1 - i}\",\"output\":\"x\"}}") + "]")),
                        ("reasoning", n => Body("\"input\":[" + Many(n, i => $"{{\"type\":\"reasoning\",\"id\":\"rs_{i}\",\"summary\":[],\"encrypted_content\":\"x\"}}") + $",{user}]")),
                        ("references", n => Body("\"input\":[" + Many(n, i => $"{{\"type\":\"item_reference\",\"id\":\"rs_{i}\"}}") + $",{user}]")),
                        ("tools", n => Body("\"input\":\"x\",\"tools\":[" + Many(n, i => $"{{\"type\":\"function\",\"name\":\"t{i}\",\"parameters\":{{\"type\":\"object\",\"properties\":{{}},\"additionalProperties\":false}},\"strict\":true}}") + "]")),
                        ("metadata", n => Body("\"input\":\"x\",\"metadata\":{" + Many(n, i => $"\"k{i}\":\"v\"") + "}")),
                        ("include", n => Body("\"input\":\"x\",\"include\":[" + Many(n, _ => "\"reasoning.encrypted_content\"") + "]")),
                    ];
                    foreach (var (name, make) in shapes) yield return ($"{name}, {model}", "/v1/responses", make);
                }
                break;
            case "generations":
                foreach (var model in models)
                {
                    string Body(string more) => $"{{\"model\":\"{model}\",\"delivery\":{{\"mode\":\"sync\"}},{more}}}";
                    string Checked(string schema) => Body("\"input\":\"x\",\"output\":{\"format\":\"json_schema\",\"strict\":false,\"structured\":\"partial\",\"schema\":{" + schema + "}}");
                    (string Name, Func<int, string> Make)[] shapes =
                    [
                        ("fields", n => Body("\"input\":\"x\"," + Many(n, i => $"\"f{i}\":1"))),
                        ("items", n => Body($"\"input\":[{Many(n, _ => user)}]")),
                        ("parts", n => Body("\"input\":[{\"role\":\"user\",\"content\":[" + Many(n, _ => """{"type":"text","text":"x"}""") + "]}]")),
                        ("pictures", n => Body("\"input\":[{\"role\":\"user\",\"content\":[" + Many(n, _ => """{"type":"image","url":"https://a.b/c"}""") + "]}]")),
                        ("calls and results, the last first", n => Body($"\"input\":[{user}," + Many(n, i => $"{{\"type\":\"tool_call\",\"id\":\"c{i}\",\"name\":\"t\",\"arguments\":\"{{}}\"}}") + "," + Many(n, i => $"{{\"type\":\"tool_result\",\"tool_call_id\":\"c{n - 1 - i}\",\"output\":\"x\"}}") + "]")),
                        ("reasoning", n => Body($"\"input\":[{user}," + Many(n, _ => """{"type":"reasoning","text":"a"}""") + $",{user}]")),
                        ("tools", n => Body("\"input\":\"x\",\"tools\":[" + Many(n, i => $"{{\"name\":\"t{i}\"}}") + "]")),
                        ("metadata", n => Body("\"input\":\"x\",\"metadata\":{" + Many(n, i => $"\"k{i}\":\"v\"") + "}")),
                        ("stop", n => Body($"\"input\":\"x\",\"sampling\":{{\"stop\":[{Many(n, _ => "\"a\"")}]}}")),
                        ("properties that are checked", n => Checked("\"type\":\"object\",\"properties\":{" + Many(n, i => $"\"p{i}\":{{}}") + "}")),
                        ("enum that is checked", n => Checked("\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[" + Many(n, i => $"\"v{i}\"") + "]}}")),
                        ("references that are checked", n => Checked("\"type\":\"object\",\"properties\":{" + Many(n, i => $"\"a{i}\":{{\"$ref\":\"#/$defs/d{i}\"}}") + "},\"$defs\":{" + Many(n, i => $"\"d{i}\":{{\"type\":\"string\"}}") + "}")),
                        ("patterns that are checked", n => Checked("\"type\":\"object\",\"properties\":{" + Many(n, i => $"\"a{i}\":{{\"pattern\":\"^x{i}$\"}}") + "}")),
                    ];
                    foreach (var (name, make) in shapes) yield return ($"{name}, {model}", "/v2/generations", make);
                }
                break;
            default:
                yield return ("embedding inputs", "/v1/embeddings", n => $"{{\"model\":\"sim-embed\",\"input\":[{Many(n, _ => "\"x\"")}]}}");
                yield return ("embedding tokens", "/v1/embeddings", n => $"{{\"model\":\"sim-embed\",\"input\":[{Many(n, _ => "1")}]}}");
                yield return ("embedding token lists", "/v1/embeddings", n => $"{{\"model\":\"sim-embed\",\"input\":[{Many(n, _ => "[1]")}]}}");
                yield return ("embedding fields", "/v1/embeddings", n => "{\"model\":\"sim-embed\",\"input\":\"x\"," + Many(n, i => $"\"f{i}\":1") + "}");
                yield return ("prompts", "/v1/completions", n => $"{{\"model\":\"sim-fast\",\"max_tokens\":2,\"prompt\":[{Many(n, _ => "\"x\"")}]}}");
                yield return ("completion fields", "/v1/completions", n => "{\"model\":\"sim-fast\",\"max_tokens\":2,\"prompt\":\"x\"," + Many(n, i => $"\"f{i}\":1") + "}");
                yield return ("counted messages", "/v1/messages/count_tokens", n => $"{{\"model\":\"sim-fast\",\"messages\":[{Many(n, _ => user)}]}}");
                yield return ("counted items", "/v1/responses/input_tokens", n => $"{{\"model\":\"sim-fast\",\"input\":[{Many(n, _ => user)}]}}");
                yield return ("estimated items", "/v2/estimates", n => $"{{\"model\":\"sim-fast\",\"input\":[{Many(n, _ => user)}]}}");
                yield return ("letters without a break", "/v1/responses/input_tokens", n => $"{{\"model\":\"native\",\"input\":\"{new string('a', n)}\"}}");
                yield return ("spaces", "/v1/responses/input_tokens", n => $"{{\"model\":\"native\",\"input\":\"{new string(' ', n)}\"}}");
                yield return ("escapes", "/v1/chat/completions", n => $"{{\"model\":\"sim-fast\",\"max_tokens\":2,\"messages\":[{{\"role\":\"user\",\"content\":\"{Repeat("\\u00e9", n)}\"}}]}}");
                yield return ("line ends before a fault", "/v1/chat/completions", n => new string('\n', n) + "{");
                yield return ("brackets", "/v1/chat/completions", n => new string('[', n));
                break;
        }
    }

    private static string Format(string schema) => "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a\",\"strict\":true,\"schema\":{" + schema + "}}}";
}
