using System.Net;
using System.Text.Json.Nodes;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Pipeline;

/// <summary><c>Fairlead-Deadline-Ms</c> has the range and the errors of its body field, in every dialect.</summary>
public sealed class DeadlineHeaderTests(DeadlineHeaderTests.Fixture fixture) : IClassFixture<DeadlineHeaderTests.Fixture>
{
    private const string Header = "Fairlead-Deadline-Ms";

    private const string Chat = """{"model":"sim-fast","messages":[{"role":"user","content":"hi"}]EXTRA}""";

    // Path, body with a place for the field, the field around its value.
    private static readonly Dictionary<string, (string Body, string Field)> Requests = new(StringComparer.Ordinal)
    {
        ["/v1/chat/completions"] = (Chat, ""","fairlead":{"deadline_ms":VALUE}"""),
        ["/v1/messages"] = ("""{"model":"sim-fast","max_tokens":20,"messages":[{"role":"user","content":"hi"}]EXTRA}""", ""","fairlead":{"deadline_ms":VALUE}"""),
        ["/v1/responses"] = ("""{"model":"sim-fast","store":false,"input":"hi"EXTRA}""", ""","fairlead":{"deadline_ms":VALUE}"""),
        ["/v1/embeddings"] = ("""{"model":"sim-embed","input":"hi"EXTRA}""", ""","fairlead":{"deadline_ms":VALUE}"""),
        ["/v2/generations"] = ("""{"model":"sim-fast","input":"hi","delivery":{"mode":"sync"}EXTRA}""", ""","deadline_ms":VALUE"""),
    };

    public static TheoryData<string, string> Accepted => new(
        from path in Requests.Keys from value in (string[])["86400000", "60000", "0060000"] select (path, value));

    public static TheoryData<string, string> Refused => new(
        from path in Requests.Keys from value in (string[])["0", "-1", "86400001", "99999999999999999999", "1.5", "soon", "1000, 2000"] select (path, value));

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [MemberData(nameof(Accepted))]
    public async Task Deadline_WithinTheRange_IsAccepted(string path, string value)
    {
        var (status, body) = await PostAsync(path, header: value);
        Assert.True(status == HttpStatusCode.OK, $"{(int)status} {body}");
    }

    [Theory]
    [InlineData("/v1/chat/completions")]
    [InlineData("/v1/messages")]
    [InlineData("/v2/generations")]
    public async Task Deadline_OfOneMillisecond_IsNotInvalid(string path)
    {
        // The call may be faster than that.
        var (status, _) = await PostAsync(path, header: "1");
        Assert.True(status is HttpStatusCode.OK or HttpStatusCode.GatewayTimeout, status.ToString());
    }

    [Theory]
    [MemberData(nameof(Refused))]
    public async Task Deadline_BeyondTheRange_Returns400ThatNamesTheHeader(string path, string value)
    {
        var (status, body) = await PostAsync(path, header: value);
        Assert.True(status == HttpStatusCode.BadRequest, $"{(int)status} {body}");
        Assert.Equal(Header, ParameterOf(body));
        Assert.Contains(Header, body.ToJsonString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("0")]
    [InlineData("-1")]
    [InlineData("86400001")]
    [InlineData("99999999999999999999")]
    public async Task Deadline_BeyondTheRange_HasTheErrorOfTheBodyField(string value)
    {
        foreach (var path in Requests.Keys)
        {
            var (headerStatus, header) = await PostAsync(path, header: value);
            var (fieldStatus, field) = await PostAsync(path, field: value);
            Assert.Equal(fieldStatus, headerStatus);
            Assert.Equal(CodeOf(field), CodeOf(header));
        }
    }

    [Fact]
    public async Task Deadline_InBodyAndHeader_BodyHasPrecedence()
    {
        var (status, body) = await PostAsync("/v1/chat/completions", header: "0", field: "60000");
        Assert.True(status == HttpStatusCode.OK, $"{(int)status} {body}");
    }

    private static string? CodeOf(JsonNode body) => (string?)(body["error"] ?? body)["code"];

    private static string? ParameterOf(JsonNode body) =>
        body["error"] is { } error ? (string?)error["param"] : ((string?)body["errors"]![0]!["pointer"])?[1..];

    private async Task<(HttpStatusCode Status, JsonNode Body)> PostAsync(string path, string? header = null, string? field = null)
    {
        var (body, around) = Requests[path];
        var extra = field is null ? "" : around.Replace("VALUE", field, StringComparison.Ordinal);
        IEnumerable<(string, string)> headers = header is null ? [] : [(Header, header)];
        using var response = await fixture.Gateway.Client.PostJsonAsync(path, body.Replace("EXTRA", extra, StringComparison.Ordinal), headers);
        return (response.StatusCode, JsonNode.Parse(await response.Content.ReadAsStringAsync(Token))!);
    }

    public sealed class Fixture : IAsyncLifetime
    {
        public TestGateway Gateway { get; private set; } = null!;

        public async ValueTask InitializeAsync() => Gateway = await TestGateway.StartAsync();

        public ValueTask DisposeAsync() => Gateway.DisposeAsync();
    }
}
