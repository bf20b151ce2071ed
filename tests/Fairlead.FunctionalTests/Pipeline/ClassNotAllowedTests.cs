using System.Net;
using System.Text.Json.Nodes;
using Fairlead.FunctionalTests.Batches;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Pipeline;

/// <summary>A class that the key may not use is refused wherever it is requested; without a request, the key's default applies.</summary>
public sealed class ClassNotAllowedTests(ClassNotAllowedTests.Fixture fixture) : IClassFixture<ClassNotAllowedTests.Fixture>
{
    private const string Foreign = ""","fairlead":{"class":"CLASS"}""";

    // Path, body with a place for the field, the field around its value.
    private static readonly Dictionary<string, (string Body, string Field)> Requests = new(StringComparer.Ordinal)
    {
        ["/v1/chat/completions"] = ("""{"model":"sim-fast","messages":[{"role":"user","content":"hi"}]EXTRA}""", Foreign),
        ["/v1/completions"] = ("""{"model":"sim-fast","prompt":"hi"EXTRA}""", Foreign),
        ["/v1/messages"] = ("""{"model":"sim-fast","max_tokens":20,"messages":[{"role":"user","content":"hi"}]EXTRA}""", Foreign),
        ["/v1/messages/count_tokens"] = ("""{"model":"sim-fast","messages":[{"role":"user","content":"hi"}]EXTRA}""", Foreign),
        ["/v1/responses"] = ("""{"model":"sim-fast","store":false,"input":"hi"EXTRA}""", Foreign),
        ["/v1/embeddings"] = ("""{"model":"sim-embed","input":"hi"EXTRA}""", Foreign),
        ["/v2/generations"] = ("""{"model":"sim-fast","input":"hi","delivery":{"mode":"sync"}EXTRA}""", ""","class":"CLASS" """),
        ["/v2/estimates"] = ("""{"model":"sim-fast","input":"hi"EXTRA}""", ""","class":"CLASS" """),
    };

    public static TheoryData<string> Paths => [.. Requests.Keys];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [MemberData(nameof(Paths))]
    public async Task Body_ClassNotAllowed_Returns403ThatNamesTheField(string path)
    {
        var (status, body) = await PostAsync(path, field: "realtime");
        AssertNotAllowed(status, body);
        Assert.EndsWith("class", ParameterOf(body), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Paths))]
    public async Task Header_ClassNotAllowed_Returns403(string path)
    {
        var (status, body) = await PostAsync(path, header: "realtime");
        AssertNotAllowed(status, body);
        Assert.Contains("bulk, standard", body.ToJsonString(), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Paths))]
    public async Task Request_AllowedClassOrNone_IsServed(string path)
    {
        foreach (var (header, field) in ((string?, string?)[])[("bulk", null), (null, "standard"), (null, null), ("realtime", "bulk")])
        {
            var (status, body) = await PostAsync(path, header, field);
            Assert.True(status == HttpStatusCode.OK, $"{header} {field}: {(int)status} {body}");
        }
    }

    [Theory]
    [InlineData("/v1/chat/completions")]
    [InlineData("/v1/responses")]
    [InlineData("/v2/generations")]
    public async Task Job_ClassNotAllowed_IsNotAccepted(string path)
    {
        var body = Requests[path].Body.Replace(""","delivery":{"mode":"sync"}""", "", StringComparison.Ordinal).Replace(""","store":false""", "", StringComparison.Ordinal);
        var (field, headers) = (Requests[path].Field.Replace("CLASS", "realtime", StringComparison.Ordinal), (IEnumerable<(string, string)>)[("Prefer", "respond-async")]);
        using var refused = await fixture.Client.PostJsonAsync(path, body.Replace("EXTRA", field, StringComparison.Ordinal), headers);
        AssertNotAllowed(refused.StatusCode, JsonNode.Parse(await refused.Content.ReadAsStringAsync(Token))!);
    }

    [Fact]
    public async Task Job_NoClass_RunsInTheDefaultClassOfTheKey()
    {
        var job = await fixture.Client.PostForJsonAsync("/v2/generations", """{"model":"sim-fast","input":"hi","delivery":{"mode":"job"}}""");
        Assert.Equal("bulk", job.GetProperty("class").GetString());
    }

    [Fact]
    public async Task Batch_BulkNotAllowed_Returns403()
    {
        var file = await BatchCalls.UploadedAsync(fixture.WithoutBulk, BatchCalls.Line("a", "Hello", "sim-fast"));
        using var refused = await BatchCalls.CreateAsync(fixture.WithoutBulk, file);
        AssertNotAllowed(refused.StatusCode, JsonNode.Parse(await refused.Content.ReadAsStringAsync(Token))!);

        var allowed = await BatchCalls.UploadedAsync(fixture.Client, BatchCalls.Line("a", "Hello", "sim-fast"));
        using var created = await BatchCalls.CreateAsync(fixture.Client, allowed);
        Assert.Equal(HttpStatusCode.OK, created.StatusCode);
    }

    private static void AssertNotAllowed(HttpStatusCode status, JsonNode body)
    {
        Assert.True(status == HttpStatusCode.Forbidden, $"{(int)status} {body}");
        Assert.Contains("class_not_allowed", body.ToJsonString(), StringComparison.Ordinal);
    }

    private static string? ParameterOf(JsonNode body) =>
        body["error"] is { } error ? (string?)error["param"] : (string?)body["errors"]![0]!["pointer"];

    private async Task<(HttpStatusCode Status, JsonNode Body)> PostAsync(string path, string? header = null, string? field = null)
    {
        var (body, around) = Requests[path];
        var extra = field is null ? "" : around.Replace("CLASS", field, StringComparison.Ordinal);
        IEnumerable<(string, string)> headers = header is null ? [] : [("Fairlead-Class", header)];
        using var response = await fixture.Client.PostJsonAsync(path, body.Replace("EXTRA", extra, StringComparison.Ordinal), headers);
        return (response.StatusCode, JsonNode.Parse(await response.Content.ReadAsStringAsync(Token))!);
    }

    public sealed class Fixture : IAsyncLifetime
    {
        private TestGateway _gateway = null!;

        /// <summary>Its key may use bulk, which is its default, and standard.</summary>
        public HttpClient Client { get; private set; } = null!;

        /// <summary>Its key may not use bulk.</summary>
        public HttpClient WithoutBulk { get; private set; } = null!;

        public async ValueTask InitializeAsync()
        {
            _gateway = await TestGateway.StartAsync();
            var (some, _) = await _gateway.MakeKeyAsync("\"classes\":[\"standard\",\"bulk\"],\"default_class\":\"bulk\"");
            var (others, _) = await _gateway.MakeKeyAsync("\"classes\":[\"standard\",\"realtime\"]");
            (Client, WithoutBulk) = (_gateway.MakeClient(some), _gateway.MakeClient(others));
        }

        public ValueTask DisposeAsync()
        {
            Client.Dispose();
            WithoutBulk.Dispose();
            return _gateway.DisposeAsync();
        }
    }
}
