using System.IO.Compression;
using System.Net;
using System.Text;
using Fairlead.Errors;

namespace Fairlead.FunctionalTests.Hostile;

/// <summary>Invalid content types, encodings, headers and queries: a response or a documented refusal, never a failure.</summary>
public sealed class HostileHeaderTests(HostileGateway world) : IClassFixture<HostileGateway>
{
    private static readonly string Long = new('x', 9_000);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<string> Doors => [.. HostileDoor.All.Select(door => door.Name)];

    [Theory]
    [MemberData(nameof(Doors))]
    public async Task ContentType_NotJson_Returns415(string name)
    {
        var door = HostileDoor.All.Single(door => door.Name == name);
        foreach (var type in (string[])["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "application/octet-stream", "text/event-stream", "application/json; charset=utf-16", "application/json; charset=latin1", "json", ";;;", "/", "application/json;;charset", Long, "image/png"])
        {
            await JudgeAsync(door, ("Content-Type", type), null, HttpStatusCode.UnsupportedMediaType);
        }
        foreach (var type in (string[])["application/json", "application/json; charset=utf-8", "application/json;charset=\"UTF-8\"", "Application/JSON"])
        {
            await JudgeAsync(door, ("Content-Type", type), null, door.IsAdmin ? null : HttpStatusCode.OK);
        }
    }

    [Theory]
    [MemberData(nameof(Doors))]
    public async Task ContentEncoding_Compressed_Returns415(string name)
    {
        var door = HostileDoor.All.Single(door => door.Name == name);
        foreach (var encoding in (string[])["gzip", "br", "deflate", "zstd", "gzip, gzip", "identity, gzip", "nonsense", Long])
        {
            using var packed = new MemoryStream();
            using (var zip = new GZipStream(packed, CompressionLevel.Fastest, leaveOpen: true)) zip.Write(Encoding.UTF8.GetBytes(door.ValidBody(world).ToJsonString()));
            await JudgeAsync(door, ("Content-Encoding", encoding), packed.ToArray(), HttpStatusCode.UnsupportedMediaType);
        }
    }

    [Theory]
    [MemberData(nameof(Doors))]
    public async Task Header_Garbage_IsAcceptedOrRefused(string name)
    {
        var door = HostileDoor.All.Single(door => door.Name == name);
        foreach (var header in (string[])["anthropic-version", "anthropic-beta", "Fairlead-Class", "Fairlead-Deadline-Ms", "Fairlead-Simulate", "Idempotency-Key", "Prefer", "Accept", "Accept-Encoding", "traceparent", "tracestate", "baggage",
            "X-Client-Request-Id", "x-request-id", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "OpenAI-Organization", "OpenAI-Project", "Last-Event-ID", "Range", "If-Match", "If-None-Match", "X-HTTP-Method-Override", "Cookie", "Origin", "Referer", "User-Agent", "Date", "x-stainless-retry-count"])
        {
            foreach (var value in (string[])["", "x", "-1", "0", "1e9", "99999999999999999999", "null", "\"", ",,,", ";=;", "../../etc/passwd", "${jndi:ldap://x}", "%00%0d%0a", "2023-06-01, 2026-10-21", Long])
            {
                await JudgeAsync(door, (header, value), null, null);
            }
        }
    }

    [Theory]
    [InlineData("Bearer")]
    [InlineData("Bearer ")]
    [InlineData("Basic YTpi")]
    [InlineData("bearer fl_a_b")]
    [InlineData("Bearer fl_\"';--")]
    [InlineData("Digest x=y")]
    [InlineData(",")]
    public async Task Credential_Garbage_Returns401(string value)
    {
        foreach (var header in (string[])["Authorization", "x-api-key", "api-key"])
        {
            foreach (var door in HostileDoor.All)
            {
                using var stranger = world.Gateway.MakeClient(null);
                using var request = Request(door, null);
                request.Headers.TryAddWithoutValidation(header, value);
                using var response = await stranger.SendAsync(request, Token);
                Assert.Equal(HttpStatusCode.Unauthorized, response.StatusCode);
                Assert.NotEmpty(response.Headers.WwwAuthenticate);
                Assert.Null(Judgement.OfRefusal(world, response, await response.Content.ReadAsStringAsync(Token), door.Shape, door.Errors));
            }
        }
    }

    [Theory]
    [InlineData("/v1/models", ErrorShape.OpenAi)]
    [InlineData("/v1/models", ErrorShape.Anthropic)]
    [InlineData("/v2/models", ErrorShape.Problem)]
    [InlineData("/v2/usage", ErrorShape.Problem)]
    [InlineData("/v2/generations", ErrorShape.Problem)]
    [InlineData("/v2/estimates", ErrorShape.Problem)]
    [InlineData("/admin/v1/audit", ErrorShape.Problem)]
    [InlineData("/admin/v1/usage", ErrorShape.Problem)]
    [InlineData("/admin/v1/organizations", ErrorShape.Problem)]
    [InlineData("/admin/v1/projects", ErrorShape.Problem)]
    [InlineData("/admin/v1/keys", ErrorShape.Problem)]
    public async Task QueryString_Garbage_IsAcceptedOrRefused(string path, ErrorShape shape)
    {
        var client = path.StartsWith("/admin", StringComparison.Ordinal) ? world.Gateway.Admin : world.Gateway.Client;
        string[] names = ["limit", "cursor", "after", "after_id", "before_id", "from", "to", "group_by", "order", "model", "outcome", "project_id", "organization_id", "key_id", "unknown", "", "%00", "%F0%9F%98%80", new string('n', 63) + "%F0%9F%98%80", "a[b]"];
        string[] values = ["", "0", "-1", "1.5", "1e9", "2147483648", "99999999999999999999", "x", "%00", "%F0%9F%98%80", "%ff", "'%20or%201=1--", "../..", "yesterday", "2026-13-45", "0001-01-01", "9999-12-31T23:59:59Z", "2026-01-01T00:00:00%2B99:00", "org_00000000000000000000000000", "day,day", "day,nonsense", Long[..5_000]];
        var refused = 0;
        foreach (var name in names)
        {
            foreach (var query in values.Select(value => $"{name}={value}").Concat([$"{name}=1&{name}=2", name, $"&&{name}==&"]))
            {
                using var request = new HttpRequestMessage(HttpMethod.Get, new Uri($"{world.Gateway.Url}{path}?{query}"));
                if (shape == ErrorShape.Anthropic) request.Headers.Add("anthropic-version", "2023-06-01");
                using var response = await client.SendAsync(request, Token);
                if (response.IsSuccessStatusCode) continue;
                refused++;
                var fault = Judgement.OfRefusal(world, response, await response.Content.ReadAsStringAsync(Token), shape, HostileDoor.ErrorsOf(shape));
                Assert.True(fault is null, $"{query[..Math.Min(100, query.Length)]}: {fault}");
            }
        }
        // OpenAI's list takes no parameters and overlooks any.
        if (shape != ErrorShape.OpenAi) Assert.NotEqual(0, refused);
    }

    private async Task JudgeAsync(HostileDoor door, (string Name, string Value) header, byte[]? body, HttpStatusCode? expected)
    {
        using var request = Request(door, body);
        if (header.Name.StartsWith("Content-", StringComparison.Ordinal))
        {
            request.Content!.Headers.Remove(header.Name);
            request.Content.Headers.TryAddWithoutValidation(header.Name, header.Value);
        }
        else
        {
            request.Headers.TryAddWithoutValidation(header.Name, header.Value);
        }
        using var response = await (door.IsAdmin ? world.Gateway.Admin : world.Gateway.Client).SendAsync(request, Token);
        var text = await response.Content.ReadAsStringAsync(Token);
        var shown = $"{door}, {header.Name}: {header.Value[..Math.Min(60, header.Value.Length)]}: {(int)response.StatusCode} {text[..Math.Min(400, text.Length)]}";
        if (expected is { } status) Assert.True(response.StatusCode == status, shown);
        if (response.IsSuccessStatusCode) return;
        // A deadline of a millisecond is one.
        if (response.StatusCode == HttpStatusCode.GatewayTimeout && header.Name == "Fairlead-Deadline-Ms") return;
        var fault = Judgement.OfRefusal(world, response, text, door.Shape, door.Errors);
        Assert.True(fault is null, $"{shown}: {fault}");
    }

    private HttpRequestMessage Request(HostileDoor door, byte[]? body)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, door.Address(world)) { Content = new ByteArrayContent(body ?? Encoding.UTF8.GetBytes(door.ValidBody(world).ToJsonString())) };
        request.Content.Headers.TryAddWithoutValidation("Content-Type", "application/json");
        return request;
    }
}
