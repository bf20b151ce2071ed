using System.Net;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Limits;

public sealed class LimitEndpointTests(LimitedGateway fixture) : IClassFixture<LimitedGateway>
{
    private TestGateway Gateway => fixture.Gateway;

    [Fact]
    public async Task OwnLimits_AnyKey_ListsWhatItsCallsCountAgainst()
    {
        var (secret, id) = await Gateway.MakeKeyAsync("\"scopes\":[\"usage:read\"]");
        using var client = Gateway.MakeClient(secret);
        var own = await client.GetJsonAsync("/v2/limits");
        Assert.Equal(id, own.GetProperty("key_id").GetString());
        Assert.Equal(Gateway.ProjectId, own.GetProperty("project_id").GetString());
        Assert.StartsWith("org_", own.GetProperty("organization_id").GetString(), StringComparison.Ordinal);
        // From the key to what it shares with others.
        Assert.Equal(
            ["key requests_per_minute", "key input_tokens_per_request", "project output_tokens_per_minute", "model usd_per_month"],
            own.GetProperty("limits").EnumerateArray().Select(limit => $"{limit.GetProperty("scope").GetString()} {limit.GetProperty("name").GetString()}"));
        Assert.Equal(
            """{"name":"usd_per_month","scope":"model","model":"sim-fast","class":null,"limit":100,"used":12,"reserved":0.25,"remaining":87.75,"window_seconds":null,"resets_at":"2098-12-31T23:00:00.000Z"}""",
            own.GetProperty("limits")[3].GetRawText());
        Assert.Equal("bulk", own.GetProperty("limits")[1].GetProperty("class").GetString());
    }

    [Fact]
    public async Task OwnLimits_KeyWithoutScope_Returns403()
    {
        var (secret, _) = await Gateway.MakeKeyAsync("\"scopes\":[\"chat\"]");
        using var client = Gateway.MakeClient(secret);
        Assert.Equal("insufficient_scope", (await client.GetJsonAsync("/v2/limits", HttpStatusCode.Forbidden)).GetProperty("code").GetString());
    }

    [Fact]
    public async Task OwnLimits_UnknownParameter_Returns400()
    {
        var error = await Gateway.Client.GetJsonAsync("/v2/limits?model=x", HttpStatusCode.BadRequest);
        Assert.Equal("model: Unknown parameter. This address has none.", error.GetProperty("detail").GetString());
    }

    [Fact]
    public async Task AdminLimits_OfOneOwner_HasItsId()
    {
        var rows = await RowsAsync($"project_id={Gateway.ProjectId}");
        Assert.Equal(Gateway.ProjectId, Assert.Single(rows).GetProperty("scope_id").GetString());
        var (_, key) = await Gateway.MakeKeyAsync("\"scopes\":[\"chat\"]");
        Assert.Equal([key, key], (await RowsAsync($"key_id={key}")).Select(row => row.GetProperty("scope_id").GetString()));
        var organization = (await Gateway.Admin.GetJsonAsync("/admin/v1/organizations")).GetProperty("data")[0].GetProperty("id").GetString();
        Assert.Equal("sim-fast", Assert.Single(await RowsAsync($"organization_id={organization}&model=sim-fast")).GetProperty("model").GetString());
        Assert.Empty(await RowsAsync("model=full"));
    }

    [Theory]
    [InlineData("", "/organization_id")]
    [InlineData("?key_id=a&project_id=b", "/key_id")]
    [InlineData("?key_id=a&model=sim-fast", "/model")]
    [InlineData("?nonsense=1", "/nonsense")]
    [InlineData("?key_id=", "/key_id")]
    public async Task AdminLimits_InvalidFilter_Returns400(string query, string pointer)
    {
        var error = await Gateway.Admin.GetJsonAsync("/admin/v1/limits" + query, HttpStatusCode.BadRequest);
        Assert.Equal("invalid_parameter", error.GetProperty("code").GetString());
        Assert.Equal(pointer, error.GetProperty("errors")[0].GetProperty("pointer").GetString());
    }

    [Theory]
    [InlineData("organization_id=org_none", "organization")]
    [InlineData("project_id=proj_none", "project")]
    [InlineData("key_id=key_none", "key")]
    [InlineData("model=none", "model")]
    public async Task AdminLimits_UnknownId_Returns404(string query, string kind)
    {
        var error = await Gateway.Admin.GetJsonAsync("/admin/v1/limits?" + query, HttpStatusCode.NotFound);
        Assert.Equal($"There is no {kind} with this id.", error.GetProperty("detail").GetString());
    }

    [Fact]
    public async Task AdminLimits_KeyOfAProject_Returns403() =>
        Assert.Equal("insufficient_scope", (await Gateway.Client.GetJsonAsync("/admin/v1/limits?model=sim-fast", HttpStatusCode.Forbidden)).GetProperty("code").GetString());

    private async Task<List<JsonElement>> RowsAsync(string query) =>
        [.. (await Gateway.Admin.GetJsonAsync("/admin/v1/limits?" + query)).GetProperty("data").EnumerateArray()];
}
