using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Fairlead.Access;
using Fairlead.Dialects;
using Fairlead.FunctionalTests.Batches;
using Fairlead.FunctionalTests.Common;
using Fairlead.Http;
using Fairlead.Server.Documentation;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.FunctionalTests.Documentation;

/// <summary>The OpenAPI document against the gateway it describes.</summary>
public sealed partial class OpenApiTests(DocumentedGateway fixture) : IClassFixture<DocumentedGateway>
{
    private static readonly JsonObject Document = OpenApiDocument.Build();

    /// <summary>Readers such as /reference send what a parameter shows as example or default: a job and a used key instead of a response.</summary>
    [Fact]
    public void Parameters_OptionalHeaders_HaveNoExampleOrDefault()
    {
        var shown = Document["components"]!["parameters"]!.AsObject()
            .Where(one => one.Value!["in"]!.GetValue<string>() == "header" && one.Value["required"]?.GetValue<bool>() != true)
            .Where(one => new[] { one.Value!, one.Value!["schema"]! }.Any(node => node["example"] is not null || node["examples"] is not null || node["default"] is not null));
        Assert.Empty(shown.Select(one => one.Key));
    }

    // Every operation that returns JSON, with a call that produces it. {organization}, {project} and {key} are created for each call.
    private static readonly (string Operation, string Path, string? Body)[] Calls =
    [
        ("post /v1/chat/completions", "/v1/chat/completions", """{"model":"sim-fast","messages":[{"role":"user","content":"Hello"}]}"""),
        ("post /v1/chat/completions", "/v1/chat/completions", """{"model":"sim-tools","messages":[{"role":"user","content":"Hello"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]}"""),
        ("post /v1/completions", "/v1/completions", """{"model":"sim-echo","prompt":"Once upon a time"}"""),
        ("post /v1/moderations", "/v1/moderations", """{"model":"sim-fast","input":["peace","some violence"]}"""),
        ("post /v1/embeddings", "/v1/embeddings", """{"model":"sim-embed","input":["a","b"]}"""),
        ("post /v1/responses", "/v1/responses", """{"model":"sim-fast","input":"Hello"}"""),
        ("post /v1/responses", "/v1/responses", """{"model":"sim-tools","input":"Hello","tools":[{"type":"function","name":"f","parameters":{"type":"object"}}]}"""),
        ("post /v1/responses/compact", "/v1/responses/compact", """{"model":"compacting","input":"Hello"}"""),
        ("post /v1/responses/input_tokens", "/v1/responses/input_tokens", """{"model":"sim-fast","input":"Hello"}"""),
        ("get /v1/responses/{id}", "/v1/responses/{response}", null),
        ("delete /v1/responses/{id}", "/v1/responses/{response}", null),
        ("post /v1/responses/{id}/cancel", "/v1/responses/{background}/cancel", "{}"),
        ("get /v1/responses/{id}/input_items", "/v1/responses/{response}/input_items", null),
        ("get /v1/models", "/v1/models", null),
        ("get /v1/models/{id}", "/v1/models/sim-fast", null),
        ("get /v2/models", "/v2/models", null),
        ("get /v2/models/{id}", "/v2/models/sim-fast", null),
        ("post /v1/messages", "/v1/messages", """{"model":"sim-fast","max_tokens":50,"messages":[{"role":"user","content":"Hello"}]}"""),
        ("post /v1/messages/count_tokens", "/v1/messages/count_tokens", """{"model":"sim-fast","messages":[{"role":"user","content":"Hello"}]}"""),
        ("post /v2/generations", "/v2/generations", """{"model":"sim-fast","input":"Hello","delivery":{"mode":"sync"}}"""),
        ("post /v2/generations", "/v2/generations", """{"model":"sim-tools","input":"Hello","tools":[{"name":"f","parameters":{"type":"object"}}],"delivery":{"mode":"sync"}}"""),
        ("post /v2/estimates", "/v2/estimates", """{"model":"sim-fast","input":"Hello","sampling":{"max_output_tokens":100}}"""),
        ("get /v2/generations", "/v2/generations", null),
        ("get /v2/generations/{id}", "/v2/generations/{generation}?wait=60", null),
        ("get /v2/generations/{id}/result", "/v2/generations/{generation}/result?wait=60", null),
        ("post /v2/generations/{id}/cancel", "/v2/generations/{generation}/cancel", "{}"),
        ("post /v1/files", "/v1/files", "multipart"),
        ("get /v1/files", "/v1/files", null),
        ("get /v1/files/{id}", "/v1/files/{file}", null),
        ("delete /v1/files/{id}", "/v1/files/{file}", null),
        ("post /v1/batches", "/v1/batches", """{"input_file_id":"{file}","endpoint":"/v1/chat/completions","completion_window":"24h","metadata":{"a":"b"}}"""),
        ("get /v1/batches", "/v1/batches", null),
        ("get /v1/batches/{id}", "/v1/batches/{batch}", null),
        ("post /v1/batches/{id}/cancel", "/v1/batches/{batch}/cancel", "{}"),
        ("get /v2/usage", "/v2/usage?group_by=day,model", null),
        ("get /v2/webhooks", "/v2/webhooks", null),
        ("post /v2/webhooks", "/v2/webhooks", """{"url":"https://hooks.invalid/a","events":["generation.failed"],"description":"A","signature":"v1"}"""),
        ("post /v2/webhooks", "/v2/webhooks", """{"url":"https://hooks.invalid/a","signature":"v1a"}"""),
        ("get /v2/webhooks/per-request", "/v2/webhooks/per-request", null),
        ("get /v2/webhooks/{id}", "/v2/webhooks/{webhook}", null),
        ("patch /v2/webhooks/{id}", "/v2/webhooks/{webhook}", """{"status":"disabled"}"""),
        ("post /v2/webhooks/{id}/rotate", "/v2/webhooks/{webhook}/rotate", """{"overlap_seconds":60}"""),
        ("post /v2/webhooks/{id}/test", "/v2/webhooks/{webhook}/test", "{}"),
        ("get /v2/webhooks/deliveries", "/v2/webhooks/deliveries", null),
        ("get /v2/webhooks/deliveries/{id}", "/v2/webhooks/deliveries/{delivery}", null),
        ("post /v2/webhooks/deliveries/{id}/redeliver", "/v2/webhooks/deliveries/{delivery}/redeliver", "{}"),
        ("get /admin/v1/webhooks", "/admin/v1/webhooks?organization_id={organization}", null),
        ("post /admin/v1/webhooks", "/admin/v1/webhooks", """{"organization_id":"{organization}","url":"https://hooks.invalid/a","events":["limit.warning"]}"""),
        ("get /admin/v1/webhooks/{id}", "/admin/v1/webhooks/{owebhook}", null),
        ("patch /admin/v1/webhooks/{id}", "/admin/v1/webhooks/{owebhook}", """{"status":"disabled"}"""),
        ("post /admin/v1/webhooks/{id}/rotate", "/admin/v1/webhooks/{owebhook}/rotate", """{"overlap_seconds":60}"""),
        ("post /admin/v1/webhooks/{id}/test", "/admin/v1/webhooks/{owebhook}/test", "{}"),
        ("get /admin/v1/webhooks/deliveries", "/admin/v1/webhooks/deliveries?organization_id={organization}", null),
        ("get /admin/v1/webhooks/deliveries/{id}", "/admin/v1/webhooks/deliveries/{odelivery}", null),
        ("post /admin/v1/webhooks/deliveries/{id}/redeliver", "/admin/v1/webhooks/deliveries/{odelivery}/redeliver", "{}"),
        ("get /v2/limits", "/v2/limits", null),
        ("get /admin/v1/limits", "/admin/v1/limits?key_id={key}", null),
        ("get /admin/v1/deployments", "/admin/v1/deployments?limit=2", null),
        ("get /admin/v1/deployments/{id}", "/admin/v1/deployments/simulated%2Fsim-fast", null),
        ("patch /admin/v1/deployments/{id}", "/admin/v1/deployments/simulated%2Fsim-fast", """{"state":"active"}"""),
        ("get /admin/v1/providers", "/admin/v1/providers", null),
        ("post /admin/v1/providers", "/admin/v1/providers", """{"name":"openapi-test","kind":"openai","base_url":"https://api.example.com/v1","models":["m"]}"""),
        ("get /admin/v1/providers/{id}", "/admin/v1/providers/{provider}", null),
        ("patch /admin/v1/providers/{id}", "/admin/v1/providers/{provider}", """{"enabled":true}"""),
        ("get /admin/v1/providers/{id}/keys", "/admin/v1/providers/{provider}/keys", null),
        ("post /admin/v1/providers/{id}/keys", "/admin/v1/providers/{provider}/keys", """{"name":"k","secret":"abc"}"""),
        ("patch /admin/v1/providers/{id}/keys/{key}", "/admin/v1/providers/{provider}/keys/{pkey}", """{"name":"renamed"}"""),
        ("post /admin/v1/providers/{id}/keys/{key}/rotate", "/admin/v1/providers/{provider}/keys/{pkey}/rotate", """{"secret":"def"}"""),
        ("get /admin/v1/usage", "/admin/v1/usage?group_by=hour,model,class,key,project,organization,outcome", null),
        ("get /admin/v1/reconciliation", "/admin/v1/reconciliation?limit=5", null),
        ("get /admin/v1/audit", "/admin/v1/audit?limit=5", null),
        ("get /admin/v1/erasures", "/admin/v1/erasures?limit=5", null),
        ("get /admin/v1/erasures/{id}", "/admin/v1/erasures/{erasure}", null),
        ("post /admin/v1/erasures", "/admin/v1/erasures", """{"project_id":"{project}","end_user":"nobody","reason":"case 81"}"""),
        ("get /admin/v1/organizations", "/admin/v1/organizations", null),
        ("post /admin/v1/organizations", "/admin/v1/organizations", """{"name":"A"}"""),
        ("post /admin/v1/organizations", "/admin/v1/organizations", """{"name":"A","weight":0.5,"limits":{"requests_per_minute":60,"usd_per_day":0.5,"burst":2,"elastic":true,"classes":{"bulk":{"tokens_per_day":0,"elastic":{"max":3}}}}}"""),
        ("get /admin/v1/organizations/{id}", "/admin/v1/organizations/{organization}", null),
        ("patch /admin/v1/organizations/{id}", "/admin/v1/organizations/{organization}", """{"name":"B","limits":{"usd_per_month":10,"burst":null}}"""),
        ("get /admin/v1/policies", "/admin/v1/policies?project_id={project}", null),
        ("post /admin/v1/policies", "/admin/v1/policies", """{"name":"made for {key}","project_id":"{project}","rules":[{"id":"r","type":"personal_data","action":"redact","restore":true},{"id":"i","type":"prompt_injection","action":"flag"},{"id":"m","type":"remote","model":"sim-fast","action":"flag"}]}"""),
        ("get /admin/v1/policies/{id}", "/admin/v1/policies/{policy}", null),
        ("patch /admin/v1/policies/{id}", "/admin/v1/policies/{policy}", """{"rules":[{"id":"r","type":"words","words":["a"],"action":"block"}]}"""),
        ("get /admin/v1/policies/{id}/versions", "/admin/v1/policies/{policy}/versions", null),
        ("get /admin/v1/policies/{id}/versions/{version}", "/admin/v1/policies/{policy}/versions/1", null),
        ("post /admin/v1/policies/{id}/try", "/admin/v1/policies/{policy}/try", """{"text":"a@example.org","direction":"output"}"""),
        ("get /admin/v1/projects", "/admin/v1/projects?organization_id={organization}", null),
        ("post /admin/v1/projects", "/admin/v1/projects", """{"name":"A","organization_id":"{organization}"}"""),
        ("get /admin/v1/projects/{id}", "/admin/v1/projects/{project}", null),
        ("patch /admin/v1/projects/{id}", "/admin/v1/projects/{project}", """{"name":"B","limits":{"concurrent_generations":2}}"""),
        ("get /admin/v1/keys", "/admin/v1/keys?project_id={project}", null),
        ("post /admin/v1/keys", "/admin/v1/keys", """{"name":"A","project_id":"{project}","models":["sim-fast","nobody-has-this"]}"""),
        ("get /admin/v1/keys/{id}", "/admin/v1/keys/{key}", null),
        ("patch /admin/v1/keys/{id}", "/admin/v1/keys/{key}", """{"models":null,"limits":{"classes":{"realtime":{"requests_per_minute":5}}}}"""),
        ("post /admin/v1/keys/{id}/rotate", "/admin/v1/keys/{key}/rotate", "{}"),
        ("post /admin/v1/keys/{id}/revoke", "/admin/v1/keys/{key}/revoke", "{}"),
    ];

    private static IEnumerable<JsonNode> Nodes(JsonNode node) => (node switch
    {
        JsonObject fields => fields.Select(field => field.Value).OfType<JsonNode>(),
        JsonArray items => items.OfType<JsonNode>(),
        _ => [],
    }).SelectMany(Nodes).Prepend(node);

    public static TheoryData<int> Indices => [.. Enumerable.Range(0, Calls.Length)];

    public static TheoryData<string> Lists => ["/admin/v1/organizations", "/admin/v1/projects", "/admin/v1/keys", "/admin/v1/policies", "/admin/v1/audit", "/admin/v1/usage", "/admin/v1/limits", "/admin/v1/deployments", "/admin/v1/reconciliation", "/v2/usage", "/v2/webhooks", "/v2/webhooks/deliveries", "/admin/v1/webhooks", "/admin/v1/webhooks/deliveries"];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public void OpenApiDocument_Operations_MatchMappedEndpoints()
    {
        var mapped = fixture.Gateway.Services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>()
            .Where(e => e.RoutePattern.RawText != ErrorListEndpoint.Address) // A page to read, not part of the API.
            .SelectMany(e => e.Metadata.GetMetadata<IHttpMethodMetadata>()?.HttpMethods.Where(m => m != "HEAD").Select(m => $"{m.ToLowerInvariant()} {Parameter().Replace(e.RoutePattern.RawText!, "{id}")}") ?? [])
            .Append("get /metrics") // The program's own.
            .Order(StringComparer.Ordinal);
        Assert.Equal(mapped, Operations().Select(operation => Parameter().Replace(operation, "{id}")).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Document_ListsOfClasses_AreTheList()
    {
        var lists = Nodes(Document).OfType<JsonObject>().Select(node => node["enum"]).OfType<JsonArray>()
            .Select(list => list.Select(word => word?.ToString()).OfType<string>().ToArray()).Where(list => list.Contains(CallClasses.Realtime)).ToList();
        Assert.NotEmpty(lists);
        Assert.All(lists, list => Assert.Equal(CallClasses.All, list));
    }

    [Fact]
    public void Document_Deadlines_HaveTheRangeOfTheReader()
    {
        var fields = Nodes(Document).OfType<JsonObject>().Select(node => node["deadline_ms"]).OfType<JsonObject>().Where(field => field["type"] is not null)
            .Append(Document["components"]!["parameters"]!["Deadline"]!["schema"]!.AsObject()).ToList();
        Assert.True(fields.Count > 2, $"Only {fields.Count} were found.");
        Assert.All(fields, field =>
        {
            Assert.Equal(ExtensionReader.MinDeadlineMs, (long)field["minimum"]!);
            Assert.Equal(ExtensionReader.MaxDeadlineMs, (long)field["maximum"]!);
        });
    }

    [Theory]
    [InlineData("Limits", true)]
    [InlineData("LimitsChange", true)]
    [InlineData("ClassLimits", false)]
    [InlineData("ClassLimitsChange", false)]
    public void Document_LimitsObject_HasMembersAndRangesOfTheReader(string schema, bool hasClasses)
    {
        var members = Document["components"]!["schemas"]![schema]!["properties"]!.AsObject();
        Assert.Equal(hasClasses ? LimitSetJson.Members : LimitSetJson.ClassMembers, members.Select(member => member.Key));
        foreach (var field in LimitField.All) AssertRange(field.Number, members[field.Name]!);
        AssertRange(LimitNumber.Burst, members["burst"]!);
        AssertRange(LimitNumber.ElasticMin, members["elastic"]!["properties"]!["min"]!);
        AssertRange(LimitNumber.ElasticMax, members["elastic"]!["properties"]!["max"]!);
        if (hasClasses) Assert.Equal(CallClasses.All, members["classes"]!["properties"]!.AsObject().Select(name => name.Key));
        AssertRange(LimitNumber.Weight, Document["components"]!["schemas"]!["Weight"]!);
        AssertRange(LimitNumber.Weight, Document["components"]!["schemas"]!["WeightChange"]!);

        static void AssertRange(LimitNumber number, JsonNode field)
        {
            Assert.Equal(number.Min, decimal.Parse(field["minimum"]!.ToJsonString(), System.Globalization.CultureInfo.InvariantCulture));
            Assert.Equal(number.Max, decimal.Parse(field["maximum"]!.ToJsonString(), System.Globalization.CultureInfo.InvariantCulture));
            Assert.Contains(number.Decimals == 0 ? "integer" : "number", field["type"]!.ToJsonString(), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void TestCalls_OfOpenApiTests_CoverEveryOperationWithJsonResponse()
    {
        var withJson = Operations().Where(o => Document["paths"]![o.Split(' ')[1]]![o.Split(' ')[0]]!["responses"]!.AsObject().Any(r => r.Key[0] == '2') && Success(o).Response["content"]?["application/json"] is not null);
        Assert.Equal(withJson.Order(StringComparer.Ordinal), Calls.Select(c => c.Operation).Distinct().Order(StringComparer.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Indices))]
    public async Task Response_Live_MatchesOpenApiDocument(int index)
    {
        var (operation, path, body) = Calls[index];
        // So that sums and records have something to show.
        await fixture.Gateway.Client.PostForJsonAsync("/v1/chat/completions", """{"model":"sim-fast","messages":[{"role":"user","content":"Hello"}]}""");
        var names = await MakeObjectsAsync();
        if (path.Contains("{webhook}", StringComparison.Ordinal) || path.Contains("{delivery}", StringComparison.Ordinal))
        {
            // No name of the DNS ends so: what is sent there arrives nowhere.
            var webhook = await fixture.Gateway.Client.PostForJsonAsync("/v2/webhooks", """{"url":"https://hooks.invalid/"}""");
            names["webhook"] = webhook.GetProperty("id").GetString()!;
            names["delivery"] = (await fixture.Gateway.Client.PostForJsonAsync($"/v2/webhooks/{names["webhook"]}/test", "{}")).GetProperty("id").GetString()!;
        }
        if (path.StartsWith("/admin/v1/providers/", StringComparison.Ordinal))
        {
            names["provider"] = (await fixture.Gateway.Admin.PostForJsonAsync("/admin/v1/providers", $$"""{"name":"p{{Guid.NewGuid():N}}","kind":"openai","base_url":"https://api.example.com/v1"}""")).GetProperty("id").GetString()!;
            names["pkey"] = (await fixture.Gateway.Admin.PostForJsonAsync($"/admin/v1/providers/{names["provider"]}/keys", """{"name":"k","secret":"abc"}""")).GetProperty("id").GetString()!;
        }
        if (path.StartsWith("/admin/v1/webhooks", StringComparison.Ordinal))
        {
            var webhook = await fixture.Gateway.Admin.PostForJsonAsync("/admin/v1/webhooks", $$"""{"organization_id":"{{names["organization"]}}","url":"https://hooks.invalid/"}""");
            names["owebhook"] = webhook.GetProperty("id").GetString()!;
            names["odelivery"] = (await fixture.Gateway.Admin.PostForJsonAsync($"/admin/v1/webhooks/{names["owebhook"]}/test", "{}")).GetProperty("id").GetString()!;
        }
        if (path.StartsWith("/admin/v1/erasures", StringComparison.Ordinal))
        {
            names["erasure"] = (await fixture.Gateway.Admin.PostForJsonAsync("/admin/v1/erasures", $$"""{"project_id":"{{names["project"]}}","end_user":"nobody"}""")).GetProperty("id").GetString()!;
        }
        if (path.StartsWith("/admin/v1/policies", StringComparison.Ordinal))
        {
            var policy = await fixture.Gateway.Admin.PostForJsonAsync("/admin/v1/policies", $$"""{"name":"of {{names["key"]}}","key_id":"{{names["key"]}}","rules":[{"id":"r","type":"personal_data","action":"redact"}]}""");
            names["policy"] = policy.GetProperty("id").GetString()!;
        }
        if (path.StartsWith("/v1/files", StringComparison.Ordinal) || path.StartsWith("/v1/batches", StringComparison.Ordinal))
        {
            names["file"] = await BatchCalls.UploadedAsync(fixture.Gateway.Client, BatchCalls.Line("a", "Hello", "sim-fast"));
            if (!path.StartsWith("/v1/files", StringComparison.Ordinal)) names["batch"] = await BatchCalls.CreatedAsync(fixture.Gateway.Client, names["file"]);
        }
        using var request = new HttpRequestMessage(new HttpMethod(operation.Split(' ')[0].ToUpperInvariant()), Fill(path, names));
        if (body == "multipart") request.Content = new MultipartFormDataContent { { new StringContent("x"), "file", "x.txt" }, { new StringContent("user_data"), "purpose" } };
        else if (body is not null) request.Content = new StringContent(Fill(body, names), Encoding.UTF8, "application/json");
        using var response = await (path.StartsWith("/admin", StringComparison.Ordinal) ? fixture.Gateway.Admin : fixture.Gateway.Client).SendAsync(request, Token);
        var text = await response.Content.ReadAsStringAsync(Token);

        var (status, documented) = Success(operation);
        Assert.True((int)response.StatusCode == status, $"{(int)response.StatusCode}: {text}");
        var faults = SchemaCheck.Faults(Document, documented["content"]!["application/json"]!["schema"]!, JsonNode.Parse(text));
        Assert.True(faults.Count == 0, string.Join("\n", faults) + "\n" + text);
        WriteExample(operation, index, text);
        Assert.StartsWith("req_", Assert.Single(response.Headers.GetValues("x-request-id")), StringComparison.Ordinal);
    }

    [Fact]
    public void Operations_RequestsAndResponses_HaveExamples()
    {
        var without = Document["paths"]!.AsObject().SelectMany(path => path.Value!.AsObject().Select(one => (Name: $"{one.Key} {path.Key}", Answer: OpenApiDocument.Answer(one.Value!))))
            .Where(one => one.Answer is { } answer && answer["example"] is null && answer["examples"] is null).Select(one => one.Name);
        Assert.Empty(without);
        var requests = Document["paths"]!.AsObject().SelectMany(path => path.Value!.AsObject().Select(one => (Name: $"{one.Key} {path.Key}", Body: one.Value!["requestBody"]?["content"]?["application/json"])))
            .Where(one => one.Body is { } body && body["example"] is null && body["examples"] is null).Select(one => one.Name);
        Assert.Empty(requests);
    }

    // Only on request: writes the responses of this gateway as the examples of the document.
    private void WriteExample(string operation, int index, string text)
    {
        if (Environment.GetEnvironmentVariable("FAIRLEAD_WRITE_EXAMPLES") is not { Length: > 0 } folder || Array.FindIndex(Calls, call => call.Operation == operation) != index) return;
        var example = JsonNode.Parse(Secret().Replace(text.Replace(fixture.Gateway.Url, Example.Address, StringComparison.Ordinal), "\"$1…"))!;
        Shorten(example);
        var name = Document["paths"]![operation.Split(' ')[1]]![operation.Split(' ')[0]]!["operationId"]!.GetValue<string>();
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, name + ".json"), example.ToJsonString(Indented) + "\n");

        // One entry shows what a list looks like.
        static void Shorten(JsonNode? node)
        {
            if (node is JsonArray list)
            {
                while (list.Count > 1 && list[0] is JsonObject) list.RemoveAt(list.Count - 1);
                if (list.Count > 8 && list[0] is JsonValue) list.Clear();
                foreach (var item in list) Shorten(item);
            }
            if (node is JsonObject map) foreach (var (_, value) in map) Shorten(value);
        }
    }

    private static readonly System.Text.Json.JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    [Theory]
    [InlineData("delete /admin/v1/keys/{id}", "key")]
    [InlineData("delete /admin/v1/projects/{id}", "project")]
    [InlineData("delete /admin/v1/organizations/{id}", "organization")]
    public async Task Delete_Live_MatchesOpenApiDocument(string operation, string kind)
    {
        var names = await MakeObjectsAsync();
        foreach (var inside in (string[])["key", "project", "organization"])
        {
            using var response = await fixture.Gateway.Admin.DeleteAsync(new Uri($"/admin/v1/{inside}s/{names[inside]}", UriKind.Relative), Token);
            Assert.Equal(Success(operation).Status, (int)response.StatusCode);
            if (inside == kind) break;
        }
    }

    [Theory]
    [MemberData(nameof(Lists))]
    public async Task ListParameters_Accepted_MatchOpenApiDocument(string path)
    {
        // The refusal of an unknown parameter names those there are.
        using var response = await (path.StartsWith("/admin", StringComparison.Ordinal) ? fixture.Gateway.Admin : fixture.Gateway.Client).GetAsync(new Uri(path + "?nonsense=1", UriKind.Relative), Token);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        var detail = JsonNode.Parse(await response.Content.ReadAsStringAsync(Token))!["detail"]!.GetValue<string>();
        var known = Regex.Match(detail, "(?:there are|it accepts|Known parameters:) ([a-z_, ]+)\\.").Groups[1].Value.Split(", ");
        var documented = Document["paths"]![path]!["get"]!["parameters"]!.AsArray().Select(p => SchemaCheck.Resolve(Document, p!)).Where(p => p["in"]!.GetValue<string>() == "query").Select(p => p["name"]!.GetValue<string>());
        Assert.Equal(known.Order(StringComparer.Ordinal), documented.Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("OpenAiError", "/v1/chat/completions", """{"model":"no-such-model","messages":[{"role":"user","content":"Hello"}]}""")]
    [InlineData("AnthropicError", "/v1/messages", """{"model":"no-such-model","max_tokens":5,"messages":[{"role":"user","content":"Hello"}]}""")]
    [InlineData("Problem", "/admin/v1/keys", """{"name":7}""")]
    public async Task Error_Live_MatchesOpenApiDocumentAndHasAbsoluteDocUrl(string schema, string path, string body)
    {
        using var content = new StringContent(body, Encoding.UTF8, "application/json");
        using var response = await (path.StartsWith("/admin", StringComparison.Ordinal) ? fixture.Gateway.Admin : fixture.Gateway.Client).PostAsync(new Uri(path, UriKind.Relative), content, Token);
        var answer = JsonNode.Parse(await response.Content.ReadAsStringAsync(Token))!;
        Assert.Empty(SchemaCheck.Faults(Document, Document["components"]!["schemas"]![schema]!, answer));
        var link = (answer["error"] ?? answer)["doc_url"]!.GetValue<string>();
        Assert.StartsWith(fixture.Gateway.Url + "/docs/errors#", link, StringComparison.Ordinal);
        if (schema == "Problem") Assert.Equal(link, answer["type"]!.GetValue<string>());
    }

    [Fact]
    public void Examples_InOpenApiDocument_MatchTheirSchemas()
    {
        var faults = new List<string>();
        Walk(Document, "");
        Assert.Empty(faults);

        void Walk(JsonNode? node, string at)
        {
            if (node is JsonArray list) foreach (var item in list) Walk(item, at);
            if (node is not JsonObject map) return;
            if (map["schema"] is { } schema)
            {
                if (map["example"] is { } example) Check(schema, example, at);
                foreach (var (name, value) in map["examples"] as JsonObject ?? []) Check(schema, value!["value"]!, $"{at}/{name}");
            }
            foreach (var (name, inner) in map) Walk(inner, $"{at}/{name}");
        }

        void Check(JsonNode schema, JsonNode value, string at) => faults.AddRange(SchemaCheck.Faults(Document, schema, value).Select(f => $"{at}: {f}"));
    }

    private static IEnumerable<string> Operations() => Document["paths"]!.AsObject().SelectMany(p => p.Value!.AsObject().Select(o => $"{o.Key} {p.Key}"));

    private static (int Status, JsonNode Response) Success(string operation)
    {
        var (status, response) = Document["paths"]![operation.Split(' ')[1]]![operation.Split(' ')[0]]!["responses"]!.AsObject().First(r => r.Key[0] == '2');
        return (int.Parse(status, null), SchemaCheck.Resolve(Document, response!));
    }

    private static string Fill(string text, Dictionary<string, string> names) => names.Aggregate(text, (t, n) => t.Replace($"{{{n.Key}}}", n.Value, StringComparison.Ordinal));

    private async Task<Dictionary<string, string>> MakeObjectsAsync()
    {
        var organization = await IdAsync("organizations", """{"name":"X"}""");
        var project = await IdAsync("projects", $$"""{"name":"X","organization_id":"{{organization}}"}""");
        var response = (await fixture.Gateway.Client.PostForJsonAsync("/v1/responses", """{"model":"sim-fast","input":"Hello"}""")).GetProperty("id").GetString()!;
        var background = (await fixture.Gateway.Client.PostForJsonAsync("/v1/responses", """{"model":"sim-fast","input":"Hello","background":true}""")).GetProperty("id").GetString()!;
        return new() { ["response"] = response, ["background"] = background, ["generation"] = await JobAsync(), ["organization"] = organization, ["project"] = project, ["key"] = await IdAsync("keys", $$"""{"name":"X","project_id":"{{project}}"}""") };

        async Task<string> JobAsync()
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions") { Content = new StringContent("""{"model":"sim-fast","messages":[{"role":"user","content":"Hello"}]}""", Encoding.UTF8, "application/json") };
            request.Headers.Add("Prefer", "respond-async");
            using var accepted = await fixture.Gateway.Client.SendAsync(request, Token);
            return JsonNode.Parse(await accepted.Content.ReadAsStringAsync(Token))!["id"]!.GetValue<string>();
        }

        async Task<string> IdAsync(string kind, string body) => (await fixture.Gateway.Admin.PostForJsonAsync("/admin/v1/" + kind, body)).GetProperty("id").GetString()!;
    }

    [GeneratedRegex("\"(fl_|whsec_|whsk_|whpk_)[A-Za-z0-9_+/=-]+")]
    private static partial Regex Secret();

    [GeneratedRegex(@"\{[^}]*\}")]
    private static partial Regex Parameter();
}

/// <summary>A gateway with a model whose provider compacts conversations, which no simulated one does.</summary>
public sealed class DocumentedGateway : IAsyncLifetime
{
    private FakeUpstream _upstream = null!;

    public TestGateway Gateway { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _upstream.Answer = context => FakeUpstream.Json(context, """{"id":"resp_up","object":"response.compaction","created_at":1,"output":[{"id":"cmp_up","type":"compaction","encrypted_content":"sealed"}],"usage":{"input_tokens":3,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"output_tokens":2,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":5}}""");
        Gateway = await TestGateway.StartAsync(_upstream.Yaml().Replace("    m:", "    compacting:", StringComparison.Ordinal));
    }

    public async ValueTask DisposeAsync()
    {
        await Gateway.DisposeAsync();
        await _upstream.DisposeAsync();
    }
}
