using System.Net;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Hostile;

/// <summary>URLs in requests that lead into the operator's network, where a model server would fetch them.</summary>
public sealed class PrivateAddressTests : IAsyncLifetime
{
    private const string Public = "https://93.184.216.34/a.png";

    private FakeUpstream _upstream = null!;
    private TestGateway _gateway = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public static TheoryData<string, string, string> Requests => new()
    {
        { "/v1/chat/completions", Chat("""{"type":"image_url","image_url":{"url":"URL"}}"""), "messages[0].content[1].image_url.url" },
        { "/v1/chat/completions", Chat("""{"type":"video_url","video_url":{"url":"URL"}}"""), "messages[0].content[1]" },
        { "/v1/chat/completions", Chat("""{"type":"file","file":{"file_data":"URL","filename":"a.pdf"}}"""), "messages[0].content[1].file.file_data" },
        { "/v1/chat/completions", Chat("""{"type":"file","file":{"file_id":"f","file_url":"URL"}}"""), "messages[0].content[1].file" },
        {
            "/v1/responses", """{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"x"},{"type":"input_image","image_url":"URL"}]}]}""",
            "input[0].content[1].image_url"
        },
        {
            "/v1/responses", """{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"x"},{"type":"input_file","file_url":"URL"}]}]}""",
            "input[0].content[1].file_url"
        },
        {
            "/v1/responses",
            """{"model":"m","input":[{"role":"user","content":"x"},{"type":"computer_call_output","call_id":"c","output":{"type":"computer_screenshot","image_url":"URL"}}]}""",
            "input[1]"
        },
        {
            "/v1/messages", Messages("""{"type":"image","source":{"type":"url","url":"URL"}}"""), "messages[0].content[1].source.url"
        },
        {
            "/v1/messages", Messages("""{"type":"document","source":{"type":"url","url":"URL"}}"""), "messages[0].content[1].source.url"
        },
        {
            "/v1/messages",
            Messages("""{"type":"document","source":{"type":"content","content":[{"type":"image","source":{"type":"url","url":"URL"}}]}}"""),
            "messages[0].content[1].source.content[0].source.url"
        },
        {
            "/v2/generations", """{"model":"m","input":[{"role":"user","content":[{"type":"text","text":"x"},{"type":"image","url":"URL"}]}],"delivery":{"mode":"sync"}}""",
            "/input/0/content/1/url"
        },
        {
            "/v2/generations", """{"model":"m","input":[{"role":"user","content":[{"type":"text","text":"x"},{"type":"file","url":"URL"}]}],"delivery":{"mode":"job"}}""",
            "/input/0/content/1/url"
        },
    };

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _upstream.Answer = context => FakeUpstream.Json(context, FakeUpstream.Completion("seen"));
        _gateway = await TestGateway.StartAsync(
            _upstream.Yaml("").Replace("capabilities:", "modalities: { input: [text, image, pdf] }\n      capabilities:", StringComparison.Ordinal));
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _upstream.DisposeAsync();
    }

    [Theory]
    [MemberData(nameof(Requests))]
    public async Task Post_PrivateAddress_IsRefused(string path, string body, string field)
    {
        foreach (var url in new[]
        {
            "http://127.0.0.1:9/a.png", "http://169.254.169.254/latest/meta-data/", "https://[::ffff:10.0.0.1]/a.png", "http://localhost/a.png",
            "http://2130706433/", "https://user@93.184.216.34/a.png", @"http:\/\/10.0.0.1\/a.png", "http://10.0.0.1/a.png",
        })
        {
            var (status, text) = await PostAsync(path, body.Replace("URL", url, StringComparison.Ordinal));
            Assert.True(status == HttpStatusCode.BadRequest, $"{url}: {(int)status} {text}");
            Assert.Contains($"'{field}'", text.Replace("\\u0027", "'", StringComparison.Ordinal).Replace(Pointer(field), $"'{field}'", StringComparison.Ordinal), StringComparison.Ordinal);
        }
        Assert.Empty(_upstream.Received);
    }

    [Theory]
    [MemberData(nameof(Requests))]
    public async Task Post_PublicAddress_IsNotRefusedForIt(string path, string body, string field)
    {
        var (_, text) = await PostAsync(path, body.Replace("URL", Public, StringComparison.Ordinal));
        Assert.DoesNotContain("not public", text, StringComparison.Ordinal);
        Assert.NotEmpty(field);
    }

    [Fact]
    public async Task Post_PrivateLinkToASource_IsNotRefused()
    {
        // Nobody fetches the links that a model returned with its text.
        var (status, _) = await PostAsync("/v1/responses", """
            {"model":"m","input":[{"role":"user","content":"Where is it?"},{"type":"message","role":"assistant","id":"msg_1","status":"completed","content":[
              {"type":"output_text","text":"There.","annotations":[{"type":"url_citation","url":"http://10.0.0.1/wiki","title":"Wiki","start_index":0,"end_index":5}]}]},
              {"role":"user","content":"http://127.0.0.1/ is my address."}]}
            """);
        Assert.NotEqual(HttpStatusCode.BadRequest, status);
        Assert.NotEmpty(_upstream.Received);
    }

    private static string Chat(string part) =>
        """{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"x"},PART]}]}""".Replace("PART", part, StringComparison.Ordinal);

    private static string Messages(string block) =>
        """{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":"x"},BLOCK]}]}"""
            .Replace("BLOCK", block, StringComparison.Ordinal);

    // v2 names fields by JSON Pointer.
    private static string Pointer(string field) => $"\"{field}\"";

    private async Task<(HttpStatusCode Status, string Text)> PostAsync(string path, string body)
    {
        using var content = new StringContent(body, Encoding.UTF8, "application/json");
        using var response = await _gateway.Client.PostAsync(new Uri(path, UriKind.Relative), content, Cancel);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        if (text.StartsWith('{')) using (JsonDocument.Parse(text)) { }
        return (response.StatusCode, text);
    }
}
