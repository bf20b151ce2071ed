using System.Net.Http.Headers;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Processes;

/// <summary>What the administration sees of the calls of a server.</summary>
internal static class AuditSight
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    /// <summary>All audit records of a type, over all pages.</summary>
    public static async Task<List<JsonElement>> RecordsAsync(ServerProcess server, string type = "generation")
    {
        var records = new List<JsonElement>();
        string? cursor = null;
        do
        {
            var page = await AdminAsync(server, $"/admin/v1/audit?limit=500&type={type}" + (cursor is null ? "" : "&cursor=" + cursor));
            records.AddRange(page.GetProperty("data").EnumerateArray());
            cursor = page.GetProperty("next_cursor").GetString();
        }
        while (cursor is not null);
        return records;
    }

    /// <summary>The records as soon as <paramref name="enough"/> says that they are all there, else as they are after twenty seconds.</summary>
    public static async Task<List<JsonElement>> RecordsWhenAsync(ServerProcess server, Func<List<JsonElement>, bool> enough)
    {
        var since = TimeProvider.System.GetTimestamp();
        while (true)
        {
            var records = await RecordsAsync(server);
            if (enough(records) || TimeProvider.System.GetElapsedTime(since) > Patience) return records;
            await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, Cancel);
        }
    }

    public static async Task<JsonElement> AdminAsync(ServerProcess server, string path)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, server.Address + path);
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", TestGateway.AdminKey);
        using var response = await server.Client.SendAsync(request, Cancel);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.IsSuccessStatusCode, $"{path}: {(int)response.StatusCode} {text}");
        return JsonDocument.Parse(text).RootElement;
    }

    public static long? SeedOf(JsonElement record) => record.GetProperty("parameters").TryGetProperty("seed", out var seed) ? seed.GetInt64() : null;

    public static long Tokens(JsonElement holder, string name) => holder.GetProperty("usage").GetProperty(name).GetInt64();
}
