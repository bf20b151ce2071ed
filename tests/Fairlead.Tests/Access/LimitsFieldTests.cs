using System.Net;
using System.Text.Json.Nodes;
using Fairlead.Access;
using Fairlead.Storage;

namespace Fairlead.Tests.Access;

public sealed class SqliteLimitsFieldTests() : LimitsFieldTests(StorageProvider.Sqlite);

public sealed class PostgresLimitsFieldTests() : LimitsFieldTests(StorageProvider.Postgres);

/// <summary>The fields <c>limits</c> and <c>weight</c> over HTTP.</summary>
public abstract class LimitsFieldTests : AdminTests
{
    private protected LimitsFieldTests(StorageProvider provider)
        : base(provider)
    {
    }

    public static TheoryData<string> Kinds => ["organizations", "projects", "keys"];

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Create_WithLimits_ShowsThemInEveryResponse(string kind)
    {
        const string Limits = """{"requests_per_minute":1000,"usd_per_month":12.5,"burst":2,"elastic":{"min":0.25,"max":2},"classes":{"bulk":{"requests_per_minute":10}}}""";
        var made = (await Host.PostAsync("/admin/v1/" + kind, await BodyAsync(kind, """{"classes":{"bulk":{"requests_per_minute":10},"realtime":{}},"elastic":true,"usd_per_month":12.50,"burst":2.0,"tokens_per_day":null,"requests_per_minute":1e3}"""))).Expect(HttpStatusCode.Created);
        Assert.Equal(Limits, made["limits"]!.ToJsonString());
        var id = made["id"]!.GetValue<string>();
        Assert.Equal(Limits, (await Host.GetAsync($"/admin/v1/{kind}/{id}")).Expect(HttpStatusCode.OK)["limits"]!.ToJsonString());
        var listed = (await Host.GetAsync("/admin/v1/" + kind)).Expect(HttpStatusCode.OK)["data"]!.AsArray().Single(one => one!["id"]!.GetValue<string>() == id);
        Assert.Equal(Limits, listed!["limits"]!.ToJsonString());
        Assert.Equal(Limits, (await Host.PatchAsync($"/admin/v1/{kind}/{id}", """{"name":"other"}""")).Expect(HttpStatusCode.OK)["limits"]!.ToJsonString());
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Update_Limits_MergesThem(string kind)
    {
        var id = await CreateAsync(kind, """{"requests_per_minute":5,"burst":2,"elastic":{"min":0.5,"max":4},"classes":{"bulk":{"burst":3,"tokens_per_day":9},"realtime":{"burst":1}}}""");
        Assert.Equal("""{"requests_per_minute":5,"usd_per_day":0,"elastic":{"min":0.5,"max":3},"classes":{"realtime":{"burst":1},"bulk":{"tokens_per_day":9}}}""",
            await PatchAsync(kind, id, """{"usd_per_day":0,"burst":null,"elastic":{"max":3},"classes":{"bulk":{"burst":null}}}"""));
        Assert.Equal("""{"requests_per_minute":5,"usd_per_day":0,"classes":{"realtime":{"burst":1}}}""", await PatchAsync(kind, id, """{"elastic":false,"classes":{"bulk":null}}"""));
        Assert.Equal("""{"requests_per_minute":5,"usd_per_day":0}""", await PatchAsync(kind, id, """{"classes":null}"""));
        Assert.Equal("""{"requests_per_minute":5,"usd_per_day":0}""", await PatchAsync(kind, id, "{}"));
        Assert.Equal("{}", await PatchAsync(kind, id, "null"));
        Assert.Equal("{}", (await Host.GetAsync($"/admin/v1/{kind}/{id}")).Expect(HttpStatusCode.OK)["limits"]!.ToJsonString());
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Update_InvalidLimits_ListsAllErrorsAndChangesNothing(string kind)
    {
        var id = await CreateAsync(kind, """{"requests_per_minute":5}""");
        var answer = await Host.PatchAsync($"/admin/v1/{kind}/{id}", """{"limits":{"requests_per_minute":6,"usd_per_day":-1,"classes":{"bulk":{"burst":0},"gold":{}}}}""");
        Assert.Equal(["/limits/usd_per_day", "/limits/classes/bulk/burst", "/limits/classes/gold"], answer.ExpectProblem(400, "invalid_parameter").Pointers);
        Assert.Equal("""{"requests_per_minute":5}""", (await Host.GetAsync($"/admin/v1/{kind}/{id}")).Json["limits"]!.ToJsonString());
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Update_SameLimits_IsNoChange(string kind)
    {
        var id = await CreateAsync(kind, """{"requests_per_minute":5,"usd_per_day":0.10}""");
        var before = await Host.GetAsync($"/admin/v1/{kind}/{id}");
        await PatchAsync(kind, id, """{"usd_per_day":1e-1,"burst":null,"classes":{"bulk":{}}}""");
        Assert.Equal(before.Json["updated_at"]!.ToJsonString(), (await Host.GetAsync($"/admin/v1/{kind}/{id}")).Json["updated_at"]!.ToJsonString());
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Update_StoredLimitsEditedToNonsense_AreShownAsNullAndReplaced(string kind)
    {
        var id = await CreateAsync(kind, "{}");
        await using (var connection = await ((IStorage)Host.Services.GetService(typeof(IStorage))!).OpenAsync(TestContext.Current.CancellationToken))
        {
            var table = kind == "keys" ? "api_keys" : kind;
            await connection.ExecuteAsync($"UPDATE {table} SET limits = @limits WHERE id = @id", [("@limits", "nonsense"), ("@id", id)], TestContext.Current.CancellationToken);
        }
        Assert.Null((await Host.GetAsync($"/admin/v1/{kind}/{id}")).Expect(HttpStatusCode.OK)["limits"]);
        (await Host.GetAsync("/admin/v1/" + kind)).Expect(HttpStatusCode.OK);
        Assert.Equal("""{"burst":2}""", await PatchAsync(kind, id, """{"burst":2}"""));
    }

    [Fact]
    public async Task Update_Limits_ReachCallersAtOnce()
    {
        var project = await Host.AddProjectAsync();
        var organization = (await Host.GetAsync("/admin/v1/projects/" + project)).Json["organization_id"]!.GetValue<string>();
        var (key, secret) = await Host.AddKeyAsync(project, ""","limits":{"requests_per_minute":3}""");
        Assert.Equal(3, Caller(secret).KeyLimits.RequestsPerMinute);
        await PatchAsync("organizations", organization, """{"requests_per_minute":1}""");
        await PatchAsync("projects", project, """{"requests_per_minute":2}""");
        await PatchAsync("keys", key, """{"requests_per_minute":null,"burst":4}""");
        (await Host.PatchAsync("/admin/v1/organizations/" + organization, """{"weight":0.5}""")).Expect(HttpStatusCode.OK);
        var caller = Caller(secret);
        Assert.Equal((1, 2, null, 4m, 0.5m), (caller.OrganizationLimits.RequestsPerMinute, caller.ProjectLimits.RequestsPerMinute, caller.KeyLimits.RequestsPerMinute, caller.KeyLimits.Burst, caller.OrganizationWeight));
    }

    [Fact]
    public async Task Organization_Weight_IsExactAndNullIsTheDefault()
    {
        var made = (await Host.PostAsync("/admin/v1/organizations", """{"name":"a","weight":0.123456}""")).Expect(HttpStatusCode.Created);
        Assert.Equal("0.123456", made["weight"]!.ToJsonString());
        var path = "/admin/v1/organizations/" + made["id"]!.GetValue<string>();
        Assert.Equal("1000", (await Host.PatchAsync(path, """{"weight":1e3}""")).Expect(HttpStatusCode.OK)["weight"]!.ToJsonString());
        Assert.Equal("1000", (await Host.PatchAsync(path, """{"name":"b"}""")).Expect(HttpStatusCode.OK)["weight"]!.ToJsonString());
        Assert.Equal("1", (await Host.PatchAsync(path, """{"weight":null}""")).Expect(HttpStatusCode.OK)["weight"]!.ToJsonString());
    }

    private Caller Caller(string secret)
    {
        var context = new Microsoft.AspNetCore.Http.DefaultHttpContext();
        context.Request.Headers["api-key"] = secret;
        return ((ICallerSource)Host.Services.GetService(typeof(ICallerSource))!).Authenticate(context, null).Caller!;
    }

    private async Task<string> CreateAsync(string kind, string limits) =>
        (await Host.PostAsync("/admin/v1/" + kind, await BodyAsync(kind, limits))).Expect(HttpStatusCode.Created)["id"]!.GetValue<string>();

    private async Task<string> PatchAsync(string kind, string id, string limits) =>
        (await Host.PatchAsync($"/admin/v1/{kind}/{id}", $$"""{"limits":{{limits}}}""")).Expect(HttpStatusCode.OK)["limits"]!.ToJsonString();

    private async Task<string> BodyAsync(string kind, string limits)
    {
        var body = new JsonObject { ["name"] = "a" };
        if (kind == "projects") body["organization_id"] = (await Host.PostAsync("/admin/v1/organizations", """{"name":"o"}""")).Json["id"]!.GetValue<string>();
        if (kind == "keys") body["project_id"] = await Host.AddProjectAsync();
        var text = body.ToJsonString();
        return $"{text[..^1]},\"limits\":{limits}}}";
    }
}
