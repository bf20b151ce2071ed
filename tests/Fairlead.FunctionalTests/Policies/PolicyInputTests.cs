using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Policies;

/// <summary>Requests under a content policy, in every dialect, whole and streamed.</summary>
public sealed class PolicyInputTests : IAsyncLifetime
{
    private PolicyWorld _world = null!;

    public async ValueTask InitializeAsync() => _world = await PolicyWorld.StartAsync();

    public ValueTask DisposeAsync() => _world.DisposeAsync();

    public static TheoryData<string, bool> Cases => new(
        PolicyWorld.Dialects.SelectMany(dialect => new[] { (dialect, false), (dialect, true) }));

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Redact_Email_ProviderGetsPlaceholder(string dialect, bool stream)
    {
        await _world.AddPolicyAsync(PolicyWorld.RedactEmails);
        var reply = await _world.SendAsync(dialect, PolicyWorld.Body(dialect, $"Write to {PolicyWorld.Email} or {PolicyWorld.Email}, not to b@example.org.", stream));
        Assert.Equal(200, reply.Status);
        Assert.Equal("Hello there.", reply.Text);
        Assert.DoesNotContain("example.org", _world.Received, StringComparison.Ordinal);
        Assert.Contains("Write to [EMAIL_1] or [EMAIL_1], not to [EMAIL_2].", _world.Received, StringComparison.Ordinal);
        Assert.Equal(["mail:redact:input:3"], reply.Verdicts);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Block_Word_RefusesInShapeOfDialectWithoutMatchedText(string dialect, bool stream)
    {
        var policy = await _world.AddPolicyAsync(PolicyWorld.BlockWord);
        var reply = await _world.SendAsync(dialect, PolicyWorld.Body(dialect, "This has a Forbidden Phrase in it.", stream));
        Assert.Equal(400, reply.Status);
        var error = reply.Objects[0].TryGetProperty("error", out var inner) ? inner : reply.Objects[0];
        Assert.Equal("content_blocked", error.GetProperty("code").GetString());
        Assert.Equal(policy, error.GetProperty("details").GetProperty("policy").GetString());
        Assert.Equal("word", error.GetProperty("details").GetProperty("rule").GetString());
        Assert.DoesNotContain("phrase", reply.Body, StringComparison.OrdinalIgnoreCase);
        Assert.Empty(_world.Upstream.Requests);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Flag_Word_PassesAndIsCounted(string dialect, bool stream)
    {
        await _world.AddPolicyAsync(PolicyWorld.FlagWord);
        var reply = await _world.SendAsync(dialect, PolicyWorld.Body(dialect, "A harmless text, harmless indeed.", stream));
        Assert.Equal(["noted:flag:input:2"], reply.Verdicts);
        Assert.Contains("A harmless text, harmless indeed.", _world.Received, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Redact_NativePath_KeepsUnknownFieldsAndBytes()
    {
        // Only rules that read the output need a translation.
        await _world.AddPolicyAsync("""{"id":"mail","type":"personal_data","kinds":["email"],"action":"redact","direction":"input"}""");
        var body = """{"model":"m", "messages":[{"role":"user","content":"a\u0040example.org  x"}], "temperature":0.10, "vendor":{"kept":[1, 2.0]}}""";
        Assert.Equal(200, (await _world.SendAsync("chat", body)).Status);
        var received = Assert.Single(_world.Upstream.Requests).Body;
        Assert.Contains("\"[EMAIL_1]  x\"", received, StringComparison.Ordinal);
        Assert.Contains("\"temperature\":0.10, \"vendor\":{\"kept\":[1, 2.0]}", received, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Redact_EveryPlaceOfChatRequest_IsChecked()
    {
        await _world.AddPolicyAsync(PolicyWorld.RedactEmails);
        var file = Convert.ToBase64String(Encoding.UTF8.GetBytes("Contact: file@example.org"));
        var body = """
            {"model":"m","metadata":{"owner":"meta@example.org"},
             "messages":[
              {"role":"system","content":"system@example.org"},
              {"role":"user","name":"u","content":[{"type":"text","text":"part@example.org"},
                {"type":"image_url","image_url":{"url":"https://example.com/?to=image@example.org"}},
                {"type":"file","file":{"filename":"name@example.org.txt","file_data":"data:text/plain;base64,FILE"}}]},
              {"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"to\":\"args\\u0040example.org\"}"}}]},
              {"role":"tool","tool_call_id":"call_1","content":"result@example.org"},
              {"role":"user","content":"last@example.org"}],
             "tools":[{"type":"function","function":{"name":"f","description":"mail to tool@example.org","parameters":{"type":"object","properties":{"to":{"type":"string","default":"schema@example.org"}}}}}]}
            """.Replace("FILE", file, StringComparison.Ordinal);
        var reply = await _world.SendAsync("chat", body);
        Assert.DoesNotContain("example.org", _world.Received.Replace("\\u0040", "@", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.DoesNotContain(file, _world.Received, StringComparison.Ordinal);
        // The image is not accepted by the model, so the request ends after the check; the verdicts are in the audit.
        Assert.True(reply.Status is 200 or 400, reply.Body);
    }

    [Fact]
    public async Task Redact_ArgumentsOfTools_StayJson()
    {
        await _world.AddPolicyAsync(PolicyWorld.RedactEmails, """{"id":"card","type":"personal_data","kinds":["card"],"action":"redact"}""");
        var body = """
            {"model":"m","messages":[{"role":"user","content":"x"},
              {"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"to\":\"args\\u0040example.org\",\"card\":4111111111111111}"}}]},
              {"role":"tool","tool_call_id":"call_1","content":"ok"}]}
            """;
        Assert.Equal(200, (await _world.SendAsync("chat", body)).Status);
        var sent = Assert.Single(_world.Upstream.Received).GetProperty("messages")[1].GetProperty("tool_calls")[0].GetProperty("function").GetProperty("arguments").GetString()!;
        using var arguments = JsonDocument.Parse(sent);
        Assert.Equal("[EMAIL_1]", arguments.RootElement.GetProperty("to").GetString());
        Assert.DoesNotContain("4111111111111111", sent, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"model":"m","max_tokens":50,"system":"s@example.org","messages":[{"role":"user","content":[{"type":"text","text":"t@example.org"},{"type":"document","source":{"type":"text","media_type":"text/plain","data":"d@example.org"},"title":"n@example.org"}]},{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"f","input":{"id":"i@example.org"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":"r@example.org"}]}]}],"tools":[{"name":"f","description":"x@example.org","input_schema":{"type":"object"}}]}""", "messages")]
    [InlineData("""{"model":"m","instructions":"s@example.org","input":[{"role":"user","content":[{"type":"input_text","text":"t@example.org"}]},{"type":"function_call","call_id":"c1","name":"f","arguments":"{\"a\":\"a@example.org\"}"},{"type":"function_call_output","call_id":"c1","output":"r@example.org"}],"tools":[{"type":"function","name":"f","description":"x@example.org","parameters":{"type":"object","properties":{}}}]}""", "responses")]
    [InlineData("""{"model":"m","instructions":"s@example.org","input":[{"type":"message","role":"user","content":[{"type":"text","text":"t@example.org"}]},{"type":"tool_call","id":"c1","name":"f","arguments":"{\"a\":\"a@example.org\"}"},{"type":"tool_result","tool_call_id":"c1","output":"r@example.org"}],"delivery":{"mode":"sync"},"metadata":{"m":"m@example.org"},"tools":[{"name":"f","description":"x@example.org","parameters":{"type":"object","properties":{}}}]}""", "v2")]
    public async Task Redact_EveryPlace_ProviderGetsNoAddress(string body, string dialect)
    {
        await _world.AddPolicyAsync(PolicyWorld.RedactEmails);
        var reply = await _world.SendAsync(dialect, body);
        Assert.True(reply.Status == 200, reply.Body);
        Assert.NotEmpty(_world.Upstream.Requests);
        Assert.DoesNotContain("example.org", _world.Received, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Embeddings_RedactAndBlock_ApplyToInputs()
    {
        await _world.AddPolicyAsync(PolicyWorld.BlockWord, PolicyWorld.RedactEmails);
        var blocked = await _world.Gateway.Client.PostForJsonAsync(
            "/v1/embeddings", """{"model":"sim-embed","input":["fine","a forbidden phrase"]}""", System.Net.HttpStatusCode.BadRequest);
        Assert.Equal("content_blocked", blocked.GetProperty("error").GetProperty("code").GetString());
        var redacted = await VectorAsync("""["to a@example.org"]""");
        Assert.Equal(await VectorAsync("""["to b@example.org"]"""), redacted);
        Assert.NotEqual(await VectorAsync("""["to nobody"]"""), redacted);
        var tokens = await _world.Gateway.Client.PostForJsonAsync(
            "/v1/embeddings", """{"model":"sim-embed","input":[1,2,3]}""", System.Net.HttpStatusCode.BadRequest);
        Assert.Equal("unsupported_parameter", tokens.GetProperty("error").GetProperty("code").GetString());
    }

    [Fact]
    public async Task NoPolicy_OfCaller_NothingIsChecked()
    {
        var other = await _world.Gateway.Admin.PostForJsonAsync("/admin/v1/organizations", """{"name":"Other"}""");
        await _world.AddPolicyOfAsync($"\"organization_id\":\"{other.GetProperty("id").GetString()}\"", PolicyWorld.BlockWord);
        var reply = await _world.SendAsync("chat", PolicyWorld.Body("chat", "a forbidden phrase"));
        Assert.Equal(200, reply.Status);
        Assert.Contains("\"policy\":null", reply.Body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Policies_OfOrganizationProjectAndKey_AllApply()
    {
        var project = await _world.Gateway.Admin.GetJsonAsync($"/admin/v1/projects/{_world.Gateway.ProjectId}");
        var organization = project.GetProperty("organization_id").GetString();
        var key = (await _world.Gateway.Admin.GetJsonAsync("/admin/v1/keys")).GetProperty("data").EnumerateArray()
            .Single(one => one.GetProperty("project_id").GetString() == _world.Gateway.ProjectId).GetProperty("id").GetString();
        await _world.AddPolicyOfAsync($"\"key_id\":\"{key}\"", """{"id":"k","type":"words","words":["common"],"action":"flag"}""");
        await _world.AddPolicyOfAsync($"\"project_id\":\"{_world.Gateway.ProjectId}\"", """{"id":"p","type":"words","words":["common"],"action":"flag"}""");
        await _world.AddPolicyOfAsync($"\"organization_id\":\"{organization}\"", """{"id":"o","type":"words","words":["common"],"action":"redact"}""");
        var reply = await _world.SendAsync("chat", PolicyWorld.Body("chat", "a common text"));
        // The organization comes first, and what the key flags is redacted nevertheless.
        Assert.Equal(["o:redact:input:1", "p:flag:input:1", "k:flag:input:1"], reply.Verdicts);
        Assert.DoesNotContain("common", _world.Received, StringComparison.Ordinal);
    }

    [Fact]
    public async Task CountTokens_BlockedInput_IsRefused()
    {
        await _world.AddPolicyAsync(PolicyWorld.BlockWord);
        var refused = await _world.Gateway.Client.PostForJsonAsync(
            "/v1/messages/count_tokens", """{"model":"m","messages":[{"role":"user","content":"forbidden phrase"}]}""", System.Net.HttpStatusCode.BadRequest);
        Assert.Equal("content_blocked", refused.GetProperty("error").GetProperty("code").GetString());
    }

    [Fact]
    public async Task Continued_StoredResponse_OlderThanPolicy_IsRedacted()
    {
        var first = await _world.SendAsync("responses", PolicyWorld.Body("responses", $"I am {PolicyWorld.Email}"));
        var id = first.Objects[0].GetProperty("id").GetString();
        await _world.AddPolicyAsync(PolicyWorld.RedactEmails);
        _world.Upstream.Requests.Clear();
        var second = await _world.SendAsync("responses", PolicyWorld.Body("responses", "Who am I?", more: $",\"previous_response_id\":\"{id}\""));
        Assert.Equal(200, second.Status);
        Assert.Contains("I am [EMAIL_1]", _world.Received, StringComparison.Ordinal);
        Assert.DoesNotContain(PolicyWorld.Email, _world.Received, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Job_StoredRequest_HasRedactedTextAndVerdicts()
    {
        await _world.AddPolicyAsync(PolicyWorld.RedactEmails, PolicyWorld.FlagWord);
        using var accepted = await _world.Gateway.Client.PostJsonAsync(
            "/v1/chat/completions", PolicyWorld.Body("chat", $"A harmless text of {PolicyWorld.Email}"), [("Prefer", "respond-async")]);
        Assert.Equal(System.Net.HttpStatusCode.Accepted, accepted.StatusCode);
        var id = accepted.Headers.GetValues("Fairlead-Generation").Single();
        var done = await _world.Gateway.Client.GetJsonAsync($"/v2/generations/{id}?wait=30");
        Assert.Equal("completed", done.GetProperty("status").GetString());
        Assert.DoesNotContain(PolicyWorld.Email, _world.Received, StringComparison.Ordinal);
        Assert.Equal(
            ["mail:redact:input:1", "noted:flag:input:1"],
            done.GetProperty("quality").GetProperty("policy").EnumerateArray().Select(one => $"{one.GetProperty("rule")}:{one.GetProperty("action")}:{one.GetProperty("direction")}:{one.GetProperty("count")}"));
    }

    [Fact]
    public async Task Idempotency_SameKey_DifferentOriginal_IsAnotherRequest()
    {
        await _world.AddPolicyAsync(PolicyWorld.RedactEmails);
        var first = await _world.SendAsync("chat", PolicyWorld.Body("chat", "to a@example.org"), ("Idempotency-Key", "one"));
        Assert.Equal(200, first.Status);
        Assert.Equal(422, (await _world.SendAsync("chat", PolicyWorld.Body("chat", "to b@example.org"), ("Idempotency-Key", "one"))).Status);
        Assert.Equal(first.Body, (await _world.SendAsync("chat", PolicyWorld.Body("chat", "to a@example.org"), ("Idempotency-Key", "one"))).Body);
    }

    private async Task<string> VectorAsync(string input)
    {
        var reply = await _world.Gateway.Client.PostForJsonAsync("/v1/embeddings", $$"""{"model":"sim-embed","input":{{input}}}""");
        return reply.GetProperty("data")[0].GetProperty("embedding").ToString();
    }
}
