using System.Globalization;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;

namespace Fairlead.Benchmarks;

/// <summary>Makes keys whose calls have limits, each in an organization of its own.</summary>
internal static class LimitedKeys
{
    /// <summary>Four limits. A key and its organization with these have eight together.</summary>
    public const string Limits =
        """{"requests_per_minute":1000000000,"input_tokens_per_minute":1000000000000,"output_tokens_per_minute":1000000000000,"usd_per_day":1000000}""";

    /// <param name="client">Of an administrator.</param>
    /// <param name="number">Part of the name.</param>
    /// <param name="limits">Of the key and of its organization.</param>
    public static async Task<string> MakeAsync(HttpClient client, int number, string limits)
    {
        var name = string.Create(CultureInfo.InvariantCulture, $"limits {number}");
        var organization = await PostAsync(client, "/admin/v1/organizations", $$"""{"name":"{{name}}","limits":{{limits}}}""", "id");
        var project = await PostAsync(client, "/admin/v1/projects", $$"""{"name":"{{name}}","organization_id":"{{organization}}"}""", "id");
        return await PostAsync(client, "/admin/v1/keys",
            $$"""{"name":"{{name}}","project_id":"{{project}}","scopes":["chat"],"limits":{{limits}}}""", "secret");
    }

    private static async Task<string> PostAsync(HttpClient client, string path, string body, string member)
    {
        using var content = new StringContent(body, Encoding.UTF8, "application/json");
        using var response = await client.PostAsync(new Uri(path, UriKind.Relative), content);
        response.EnsureSuccessStatusCode();
        return (await response.Content.ReadFromJsonAsync<JsonElement>()).GetProperty(member).GetString()!;
    }
}
