using System.Net;
using Fairlead.Storage;

namespace Fairlead.Tests.Access;

public sealed class SqliteProjectEndpointsTests() : ProjectEndpointsTests(StorageProvider.Sqlite);

public sealed class PostgresProjectEndpointsTests() : ProjectEndpointsTests(StorageProvider.Postgres);

public abstract class ProjectEndpointsTests : AdminTests
{
    private protected ProjectEndpointsTests(StorageProvider provider)
        : base(provider)
    {
    }

    [Fact]
    public async Task Project_CreateReadUpdateDelete_Works()
    {
        var id = await Host.AddProjectAsync();
        Assert.Matches("^proj_[0-9A-HJKMNP-TV-Z]{26}$", id);
        var read = (await Host.GetAsync("/admin/v1/projects/" + id)).Expect(HttpStatusCode.OK);
        Assert.Equal(["id", "object", "name", "organization_id", "cache", "audit_content", "limits", "created_at", "updated_at"], read.AsObject().Select(field => field.Key));
        Assert.Equal("Find", (await Host.PatchAsync("/admin/v1/projects/" + id, """{"name":"Find"}""")).Expect(HttpStatusCode.OK)["name"]!.GetValue<string>());
        (await Host.DeleteAsync("/admin/v1/projects/" + id)).Expect(HttpStatusCode.NoContent);
        (await Host.GetAsync("/admin/v1/projects/" + id)).ExpectProblem(404, "not_found");
    }

    [Fact]
    public async Task List_ByOrganization_ReturnsOnlyItsProjects()
    {
        var first = await Host.AddProjectAsync("one");
        var second = await Host.AddProjectAsync("two");
        var organization = (await Host.GetAsync("/admin/v1/projects/" + second)).Json["organization_id"]!.GetValue<string>();
        Assert.Equal(2, (await Host.GetAsync("/admin/v1/projects")).Json["data"]!.AsArray().Count);
        Assert.Equal(second, Assert.Single((await Host.GetAsync("/admin/v1/projects?organization_id=" + organization)).Json["data"]!.AsArray())!["id"]!.GetValue<string>());
        Assert.NotEqual(first, second);
    }

    [Fact]
    public async Task Create_AllFieldsInvalid_ListsEveryError()
    {
        var answer = await Host.PostAsync("/admin/v1/projects", """{"name":1,"organization_id":"org_none","limits":{"burst":0},"colour":"red"}""");
        Assert.Equal(["/colour", "/name", "/limits/burst", "/organization_id"], answer.ExpectProblem(400, "unsupported_parameter").Pointers);
    }

    [Fact]
    public async Task Update_ProjectOrganization_IsRefused()
    {
        var id = await Host.AddProjectAsync();
        Assert.Equal(["/organization_id"], (await Host.PatchAsync("/admin/v1/projects/" + id, """{"organization_id":"org_other"}""")).ExpectProblem(400, "unsupported_parameter").Pointers);
    }

    [Fact]
    public async Task Update_ProjectName_ReachesCallers()
    {
        var id = await Host.AddProjectAsync();
        var (_, secret) = await Host.AddKeyAsync(id);
        await Host.PatchAsync("/admin/v1/projects/" + id, """{"name":"Find"}""");
        var callers = (Fairlead.Access.ICallerSource)Host.Services.GetService(typeof(Fairlead.Access.ICallerSource))!;
        var context = new Microsoft.AspNetCore.Http.DefaultHttpContext();
        context.Request.Headers["api-key"] = secret;
        Assert.Equal("Find", callers.Authenticate(context, null).Caller?.ProjectName);
    }
}
