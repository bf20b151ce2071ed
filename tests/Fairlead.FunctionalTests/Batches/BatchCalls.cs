using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;

namespace Fairlead.FunctionalTests.Batches;

/// <summary>Files and batches as a client calls them.</summary>
internal static class BatchCalls
{
    public static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public static string Line(string id, string text, string model = "m", string more = "") =>
        $$$"""{"custom_id":"{{{id}}}","method":"POST","url":"/v1/chat/completions","body":{"model":"{{{model}}}","messages":[{"role":"user","content":{{{JsonSerializer.Serialize(text)}}}}]{{{more}}}}}""";

    public static async Task<HttpResponseMessage> UploadAsync(HttpClient client, byte[] content, string purpose = "batch", string name = "input.jsonl", params (string Name, string Value)[] more)
    {
        using var form = new MultipartFormDataContent();
        var file = new ByteArrayContent(content);
        file.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
        form.Add(file, "file", name);
        form.Add(new StringContent(purpose), "purpose");
        foreach (var (field, value) in more) form.Add(new StringContent(value), field);
        return await client.PostAsync(new Uri("/v1/files", UriKind.Relative), form, Cancel);
    }

    public static async Task<string> UploadedAsync(HttpClient client, params IEnumerable<string> lines)
    {
        using var response = await UploadAsync(client, Encoding.UTF8.GetBytes(string.Join('\n', lines)));
        return (await JsonAsync(response)).GetProperty("id").GetString()!;
    }

    public static async Task<HttpResponseMessage> CreateAsync(HttpClient client, string fileId, string endpoint = "/v1/chat/completions", string more = "", string? key = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri("/v1/batches", UriKind.Relative))
        {
            Content = new StringContent($$"""{"input_file_id":"{{fileId}}","endpoint":"{{endpoint}}","completion_window":"24h"{{more}}}""", Encoding.UTF8, "application/json"),
        };
        if (key is not null) request.Headers.Add("Idempotency-Key", key);
        return await client.SendAsync(request, Cancel);
    }

    public static async Task<string> CreatedAsync(HttpClient client, string fileId, string endpoint = "/v1/chat/completions", string more = "")
    {
        using var response = await CreateAsync(client, fileId, endpoint, more);
        return (await JsonAsync(response)).GetProperty("id").GetString()!;
    }

    public static async Task<JsonElement> JsonAsync(HttpResponseMessage response)
    {
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.StatusCode == HttpStatusCode.OK, $"{(int)response.StatusCode} {text}");
        return JsonDocument.Parse(text).RootElement;
    }

    public static async Task<JsonElement> GetAsync(HttpClient client, string path)
    {
        using var response = await client.GetAsync(new Uri(path, UriKind.Relative), Cancel);
        return await JsonAsync(response);
    }

    /// <summary>The batch in the first state that <paramref name="isThere"/> accepts.</summary>
    public static async Task<JsonElement> AwaitAsync(HttpClient client, string id, Func<JsonElement, bool> isThere)
    {
        for (var i = 0; ; i++)
        {
            var batch = await GetAsync(client, $"/v1/batches/{id}");
            if (isThere(batch)) return batch;
            Assert.True(i < 3000, $"It stands at {batch}.");
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, Cancel);
        }
    }

    public static Task<JsonElement> EndedAsync(HttpClient client, string id) =>
        AwaitAsync(client, id, batch => batch.GetProperty("status").GetString() is "completed" or "failed" or "expired" or "cancelled");

    /// <summary>Lines of an output or error file by their custom id; none when there is no such file.</summary>
    public static async Task<Dictionary<string, JsonElement>> LinesAsync(HttpClient client, JsonElement batch, string member)
    {
        if (batch.GetProperty(member).ValueKind == JsonValueKind.Null) return [];
        var text = await client.GetStringAsync(new Uri($"/v1/files/{batch.GetProperty(member).GetString()}/content", UriKind.Relative), Cancel);
        Assert.EndsWith("\n", text, StringComparison.Ordinal);
        return text.TrimEnd('\n').Split('\n').Select(line => JsonDocument.Parse(line).RootElement).ToDictionary(line => line.GetProperty("custom_id").GetString()!);
    }
}
