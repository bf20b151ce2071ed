using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Tests.Common;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Fairlead.FunctionalTests.Policies;

/// <summary>A gateway whose provider says what the test wants, in pieces, and whose requests can be read.</summary>
internal sealed class PolicyWorld : IAsyncDisposable
{
    public const string Email = "ada.lovelace@example.org";

    /// <summary>A card number that satisfies the checksum.</summary>
    public const string Card = "4111 1111 1111 1111";

    public const string RedactEmails = """{"id":"mail","type":"personal_data","kinds":["email"],"action":"redact"}""";

    public const string RestoreEmails = """{"id":"mail","type":"personal_data","kinds":["email"],"action":"redact","restore":true}""";

    public const string BlockWord = """{"id":"word","type":"words","words":["forbidden phrase"],"action":"block"}""";

    public const string FlagWord = """{"id":"noted","type":"words","words":["harmless"],"action":"flag"}""";

    private PolicyWorld(FakeUpstream upstream, TestGateway gateway) => (Upstream, Gateway) = (upstream, gateway);

    public FakeUpstream Upstream { get; }

    public TestGateway Gateway { get; }

    /// <summary>What the provider says, in these pieces.</summary>
    public string[] Pieces { get; set; } = ["Hello", " there", "."];

    /// <summary>Arguments of the tool that the provider calls, in these pieces; null for no call.</summary>
    public string[]? Arguments { get; set; }

    /// <summary>The name of each dialect, its path, and whether its requests can be streamed.</summary>
    public static readonly string[] Dialects = ["chat", "responses", "messages", "v2"];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static async Task<PolicyWorld> StartAsync(string more = "", Action<WebApplicationBuilder>? configure = null)
    {
        var upstream = await FakeUpstream.StartAsync();
        var gateway = await TestGateway.StartAsync(upstream.Yaml(more), configure is null ? null : (builder, _) => configure(builder));
        var world = new PolicyWorld(upstream, gateway);
        upstream.Answer = world.AnswerAsync;
        return world;
    }

    public static string PathOf(string dialect) => dialect switch
    {
        "chat" => "/v1/chat/completions",
        "responses" => "/v1/responses",
        "messages" => "/v1/messages",
        _ => "/v2/generations",
    };

    /// <summary>A request with one text of the user.</summary>
    public static string Body(string dialect, string text, bool stream = false, string more = "")
    {
        var said = JsonSerializer.Serialize(text);
        return dialect switch
        {
            "chat" => $$"""{"model":"m","messages":[{"role":"user","content":{{said}}}],"stream":{{Json(stream)}}{{more}}}""",
            "responses" => $$"""{"model":"m","input":{{said}},"stream":{{Json(stream)}}{{more}}}""",
            "messages" => $$"""{"model":"m","max_tokens":500,"messages":[{"role":"user","content":{{said}}}],"stream":{{Json(stream)}}{{more}}}""",
            _ => $$"""{"model":"m","input":{{said}},"delivery":{"mode":"{{(stream ? "stream" : "sync")}}"}{{more}}}""",
        };
    }

    /// <summary>Makes a policy of the usual project and gives its id.</summary>
    public async Task<string> AddPolicyAsync(params string[] rules) => (await AddPolicyOfAsync($"\"project_id\":\"{Gateway.ProjectId}\"", rules));

    public async Task<string> AddPolicyOfAsync(string owner, params string[] rules)
    {
        var made = await Gateway.Admin.PostForJsonAsync(
            "/admin/v1/policies", $$"""{"name":"p{{Guid.NewGuid():N}}",{{owner}},"rules":[{{string.Join(',', rules)}}]}""");
        return made.GetProperty("id").GetString()!;
    }

    public async Task<PolicyReply> SendAsync(string dialect, string body, params (string Name, string Value)[] headers)
    {
        using var response = await Gateway.Client.PostJsonAsync(PathOf(dialect), body, headers);
        return new PolicyReply((int)response.StatusCode, await response.Content.ReadAsStringAsync(Token));
    }

    /// <summary>Everything that the provider received.</summary>
    public string Received => string.Join('\n', Upstream.Requests.Select(request => request.Body));

    public async ValueTask DisposeAsync()
    {
        await Gateway.DisposeAsync();
        await Upstream.DisposeAsync();
    }

    private static string Json(bool value) => value ? "true" : "false";

    private async Task AnswerAsync(HttpContext context)
    {
        if (!context.Request.Path.Value!.EndsWith("/chat/completions", StringComparison.Ordinal))
        {
            await FakeUpstream.Json(context, """{"error":{"message":"Not found"}}""", 404);
            return;
        }
        var request = (JsonElement)context.Items[FakeUpstream.RequestItem]!;
        if (!request.TryGetProperty("stream", out var stream) || !stream.GetBoolean())
        {
            await FakeUpstream.Json(context, Whole());
            return;
        }
        await FakeUpstream.BeginAsync(context);
        foreach (var piece in Pieces) await FakeUpstream.SendAsync(context, FakeUpstream.Chunk($"{{\"content\":{JsonSerializer.Serialize(piece)}}}"));
        if (Arguments is not null)
        {
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk(
                """{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]}"""));
            foreach (var piece in Arguments)
            {
                await FakeUpstream.SendAsync(context, FakeUpstream.Chunk(
                    $"{{\"tool_calls\":[{{\"index\":0,\"function\":{{\"arguments\":{JsonSerializer.Serialize(piece)}}}}}]}}"));
            }
        }
        var finish = Arguments is null ? "stop" : "tool_calls";
        await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("{}", finish), FakeUpstream.UsageChunk(), "[DONE]");
    }

    private string Whole()
    {
        if (Arguments is null) return FakeUpstream.Completion(string.Concat(Pieces));
        var call = "{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
            + JsonSerializer.Serialize(string.Concat(Arguments)) + "}}";
        return FakeUpstream.Completion(string.Concat(Pieces), "tool_calls")
            .Replace("\"refusal\":null", $"\"refusal\":null,\"tool_calls\":[{call}]", StringComparison.Ordinal);
    }
}

/// <summary>A response as a test sees it, whole or as a stream.</summary>
internal sealed record PolicyReply(int Status, string Body)
{
    /// <summary>Its objects: one, or the data of its events.</summary>
    public IReadOnlyList<JsonElement> Objects => Body.StartsWith('{')
        ? [JsonDocument.Parse(Body).RootElement]
        : [.. Body.Split('\n').Where(line => line.StartsWith("data: {", StringComparison.Ordinal)).Select(line => JsonDocument.Parse(line[6..]).RootElement)];

    /// <summary>All text of the model: of deltas in a stream.</summary>
    public string Text
    {
        get
        {
            var text = new StringBuilder();
            foreach (var json in Objects) text.Append(Body.StartsWith('{') ? WholeText(json) : DeltaText(json));
            return text.ToString();
        }
    }

    /// <summary>All arguments of tools.</summary>
    public string Arguments
    {
        get
        {
            var text = new StringBuilder();
            foreach (var json in Objects) Collect(json, Body.StartsWith('{'), text);
            return text.ToString();
        }
    }

    /// <summary>What the rules met: <c>rule:action:direction:count</c>.</summary>
    public string[] Verdicts => [.. Find("policy").Last(one => one.ValueKind == JsonValueKind.Array).EnumerateArray().Select(one =>
        $"{one.GetProperty("rule")}:{one.GetProperty("action")}:{one.GetProperty("direction")}:{one.GetProperty("count")}")];

    /// <summary>Every value of a member, wherever it is.</summary>
    public IEnumerable<JsonElement> Find(string name) => Objects.SelectMany(json => FindIn(json, name));

    /// <summary>Why the output ended, in the words of the dialect.</summary>
    public string? Finish => Words(Find("stop_reason")).LastOrDefault()
        ?? Words(Find("incomplete_details").SelectMany(details => FindIn(details, "reason"))).LastOrDefault()
        ?? Words(Find("finish_reason")).LastOrDefault();

    private static IEnumerable<string> Words(IEnumerable<JsonElement> values) =>
        values.Where(one => one.ValueKind == JsonValueKind.String).Select(one => one.GetString()!);

    private static IEnumerable<JsonElement> FindIn(JsonElement json, string name)
    {
        if (json.ValueKind == JsonValueKind.Array)
        {
            foreach (var found in json.EnumerateArray().SelectMany(item => FindIn(item, name))) yield return found;
        }
        if (json.ValueKind != JsonValueKind.Object) yield break;
        foreach (var member in json.EnumerateObject())
        {
            if (member.Name == name) yield return member.Value;
            foreach (var found in FindIn(member.Value, name)) yield return found;
        }
    }

    private static string WholeText(JsonElement json)
    {
        if (json.TryGetProperty("choices", out var choices)) return choices[0].GetProperty("message").GetProperty("content").GetString() ?? "";
        if (json.TryGetProperty("output", out var output))
        {
            return string.Concat(output.EnumerateArray().Where(item => item.TryGetProperty("content", out _))
                .SelectMany(item => item.GetProperty("content").EnumerateArray()).Select(TextOf));
        }
        return json.TryGetProperty("content", out var content) && content.ValueKind == JsonValueKind.Array
            ? string.Concat(content.EnumerateArray().Select(TextOf)) : "";
    }

    private static string TextOf(JsonElement part) => part.TryGetProperty("text", out var text) ? text.GetString() ?? "" : "";

    private static string DeltaText(JsonElement json)
    {
        if (json.TryGetProperty("choices", out var choices))
        {
            return choices.GetArrayLength() > 0 && choices[0].GetProperty("delta").TryGetProperty("content", out var content)
                ? content.GetString() ?? "" : "";
        }
        var type = json.TryGetProperty("type", out var named) ? named.GetString() : null;
        return type switch
        {
            "content_block_delta" => TextOf(json.GetProperty("delta")),
            "response.output_text.delta" => json.GetProperty("delta").GetString() ?? "",
            "output.text.delta" => TextOf(json),
            _ => "",
        };
    }

    private static void Collect(JsonElement json, bool isWhole, StringBuilder text)
    {
        if (isWhole)
        {
            foreach (var one in FindIn(json, "arguments")) text.Append(one.GetString());
            foreach (var one in FindIn(json, "content").Where(one => one.ValueKind == JsonValueKind.Array).SelectMany(one => one.EnumerateArray()))
            {
                if (one.TryGetProperty("type", out var kind) && kind.GetString() == "tool_use") text.Append(one.GetProperty("input").GetRawText());
            }
            return;
        }
        var type = json.TryGetProperty("type", out var named) ? named.GetString() : null;
        if (json.TryGetProperty("choices", out _) || type == "content_block_delta" || type?.EndsWith("arguments.delta", StringComparison.Ordinal) == true)
        {
            foreach (var one in FindIn(json, "arguments").Concat(FindIn(json, "partial_json"))) text.Append(one.GetString());
            if (type == "response.function_call_arguments.delta") text.Append(json.GetProperty("delta").GetString());
        }
    }
}
