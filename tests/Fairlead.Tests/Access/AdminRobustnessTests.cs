using System.Net;
using System.Text;
using CsCheck;
using Fairlead.Storage;

namespace Fairlead.Tests.Access;

public sealed class SqliteAdminRobustnessTests() : AdminRobustnessTests(StorageProvider.Sqlite);

public sealed class PostgresAdminRobustnessTests() : AdminRobustnessTests(StorageProvider.Postgres);

public abstract class AdminRobustnessTests : AdminTests
{
    private protected AdminRobustnessTests(StorageProvider provider)
        : base(provider)
    {
    }

    private static readonly Gen<string> Scalar = Gen.OneOf(
        Gen.Const("null"), Gen.Const("true"), Gen.Const("-1"), Gen.Const("1e400"), Gen.Const("123456789012345678901234567890"), Gen.Const("{}"), Gen.Const("{\"burst\":1e-400,\"classes\":{\"bulk\":{\"elastic\":{\"\\ud800\":1}}}}"), Gen.Const("{\"usd_per_day\":7,\"elastic\":true}"), Gen.Const("[]"), Gen.Const("[[]]"),
        Gen.Const("\"\""), Gen.Const("\"\\ud800\""), Gen.Const("\"\\u0000\""), Gen.Const("\"chat\""), Gen.Const("[\"chat\",null,7]"), Gen.Const("[\"bulk\"]"), Gen.Const("\"none\""), Gen.Const("[\"::/0\",\"0.0.0.0/0\",\"/\"]"),
        Gen.Const("\"9999-12-31T23:59:59.9999999Z\""), Gen.Const("\"0001-01-01T00:00:00+14:00\""), Gen.Const("[\"::ffff:0:0/95\"]"), Gen.Const("[\"1.2.3.4/99999999999\"]"), Gen.Const("\"\\uD83D\\uDE00\""));

    private static readonly Gen<string> Field = Gen.OneOf([.. ((string[])["name", "project_id", "scopes", "models", "classes", "default_class", "addresses", "expires_at", "api_version", "extensions", "limits", "weight", "", "~/", "overlap_seconds"]).Select(Gen.Const)]);

    /// <summary>Bodies of the right outline with anything in their fields.</summary>
    private static readonly Gen<string> Bodies = Gen.Select(Field, Scalar).Array[0, 8].Select(fields => "{" + string.Join(",", fields.Select(field => $"\"{field.Item1}\":{field.Item2}")) + "}");

    /// <summary>Valid bodies with bytes knocked out, doubled or replaced.</summary>
    private static readonly Gen<byte[]> Damaged = Gen.Select(Bodies, Gen.Int[0, 1000], Gen.Byte, Gen.Int[0, 2]).Select((body, where, what, how) =>
    {
        var bytes = Encoding.UTF8.GetBytes(body).ToList();
        var at = where % bytes.Count;
        if (how == 0) bytes.RemoveAt(at);
        else if (how == 1) bytes[at] = what;
        else bytes.InsertRange(at, bytes[at..]);
        return bytes.ToArray();
    });

    [Fact]
    public async Task AdminRequest_FuzzedBody_SucceedsOrReturnsDocumentedError()
    {
        var project = await Host.AddProjectAsync();
        var (key, _) = await Host.AddKeyAsync(project);
        (string Method, string Path)[] targets = [("POST", "/admin/v1/organizations"), ("POST", "/admin/v1/projects"), ("POST", "/admin/v1/keys"), ("PATCH", "/admin/v1/keys/" + key), ("POST", $"/admin/v1/keys/{key}/rotate"), ("PATCH", "/admin/v1/projects/" + project)];

        await Gen.Select(Gen.OneOf(Bodies.Select(Encoding.UTF8.GetBytes), Damaged, Gen.Byte.Array[0, 64]), Gen.Int[0, targets.Length - 1]).SampleAsync(async (body, target) =>
        {
            using var request = new HttpRequestMessage(new HttpMethod(targets[target].Method), targets[target].Path) { Content = new ByteArrayContent(body) };
            request.Headers.Add("x-api-key", AdminHost.AdminKey);
            request.Content.Headers.Add("Content-Type", "application/json");
            using var response = await Host.Client.SendAsync(request, TestContext.Current.CancellationToken);
            var isDone = response.StatusCode is HttpStatusCode.OK or HttpStatusCode.Created;
            var isRefused = response.StatusCode is HttpStatusCode.BadRequest or HttpStatusCode.Conflict && response.Content.Headers.ContentType?.MediaType == "application/problem+json";
            return isDone || isRefused;
        }, iter: 500, threads: 1);
    }

    [Theory]
    [InlineData("/admin/v1/keys/'%20OR%201=1")]
    [InlineData("/admin/v1/keys/%F0%9F%98%80")]
    public async Task Id_Malformed_Returns404(string path)
    {
        (await Host.GetAsync(path)).ExpectProblem(404, "not_found");
        (await Host.DeleteAsync(path)).ExpectProblem(404, "not_found");
    }

    /// <summary>PostgreSQL accepts no text with NUL. That is an error of the request, not of the store.</summary>
    [Theory]
    [InlineData("/admin/v1/keys?project_id=%00")]
    [InlineData("/admin/v1/keys?organization_id=org_%00")]
    [InlineData("/admin/v1/projects?organization_id=%1F")]
    [InlineData("/admin/v1/keys?cursor=key_0000000000000000000000000%00")]
    public async Task Filter_WithControlCharacters_Returns400(string path) => (await Host.GetAsync(path)).ExpectProblem(400, "invalid_parameter");

    /// <summary>Pages follow one another by id, so that nothing made meanwhile moves what is still to come, and nothing removed makes it vanish.</summary>
    [Fact]
    public async Task Pages_ConcurrentInsertsAndDeletes_ListEveryRemainingKeyOnce()
    {
        var project = await Host.AddProjectAsync();
        var stay = new List<string>();
        var go = new List<string>();
        for (var i = 0; i < 12; i++) (i % 3 == 2 ? go : stay).Add((await Host.AddKeyAsync(project)).Id);
        var seen = new List<string>();
        string? cursor = null;
        do
        {
            var page = (await Host.GetAsync($"/admin/v1/keys?project_id={project}&limit=2{(cursor is null ? "" : "&cursor=" + cursor)}")).Json;
            seen.AddRange(page["data"]!.AsArray().Select(key => (string)key!["id"]!));
            cursor = (string?)page["next_cursor"];
            // The list changes at both ends and at the cursor itself.
            if (seen.Count < 20) await Host.AddKeyAsync(project);
            if (go.Count > 0)
            {
                await Host.DeleteAsync("/admin/v1/keys/" + go[0]);
                go.RemoveAt(0);
            }
        }
        while (cursor is not null);
        Assert.Equal(seen.Count, seen.Distinct().Count());
        Assert.Equal(stay, seen.Where(stay.Contains));
    }

    /// <summary>SQLite has one writer at a time; the others wait their turn instead of failing.</summary>
    [Fact]
    public async Task ConcurrentWrites_TwoProcesses_AllSucceed()
    {
        await using var other = await StartHostAsync();
        var project = await Host.AddProjectAsync();
        var answers = await Task.WhenAll(Enumerable.Range(0, 40).Select(i => (i % 2 == 0 ? Host : other).PostAsync("/admin/v1/keys", $$"""{"name":"k{{i}}","project_id":"{{project}}"}""")));
        Assert.All(answers, answer => answer.Expect(HttpStatusCode.Created));
        Assert.Equal(40, (await Host.GetAsync("/admin/v1/keys?limit=100")).Json["data"]!.AsArray().Count);
    }

    [Fact]
    public async Task StoreUnavailable_AdminReads_Return503AndCachedKeysStillWork()
    {
        var (id, secret) = await Host.AddKeyAsync(await Host.AddProjectAsync());
        var storage = (Fairlead.Storage.IStorage)Host.Services.GetService(typeof(Fairlead.Storage.IStorage))!;
        await using (var connection = await storage.OpenAsync(TestContext.Current.CancellationToken))
        {
            await using var command = connection.CreateCommand();
            command.CommandText = "ALTER TABLE api_keys RENAME TO hidden";
            await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
        }
        var answer = (await Host.GetAsync("/admin/v1/keys/" + id)).ExpectProblem(503, "store_unavailable");
        Assert.DoesNotContain("api_keys", answer.Text, StringComparison.Ordinal);
        Assert.DoesNotContain("SQLite", answer.Text, StringComparison.OrdinalIgnoreCase);
        Assert.Equal(id, await Host.WhoAsync(secret));
    }
}
