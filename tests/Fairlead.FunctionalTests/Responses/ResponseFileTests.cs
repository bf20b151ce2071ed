using System.Net;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Batches;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Responses;

/// <summary>Files that requests of Responses name by their ids.</summary>
public sealed class ResponseFileTests : IAsyncLifetime
{
    private static readonly byte[] Picture = [0x89, (byte)'P', (byte)'N', (byte)'G', 1, 2, 3];
    private static readonly byte[] Paper = "%PDF-1.7 tides"u8.ToArray();

    private FakeUpstream _upstream = null!;
    private TestGateway _gateway = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _upstream.Answer = context => FakeUpstream.Json(context, FakeUpstream.Completion("seen"));
        _gateway = await TestGateway.StartAsync(_upstream.Yaml("").Replace("kind: openai,", "kind: deepseek,", StringComparison.Ordinal).Replace("capabilities:", "modalities: { input: [text, image, pdf] }\n      capabilities:", StringComparison.Ordinal) + """

              requests: { maxMediaBytes: 1MiB }
            """);
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _upstream.DisposeAsync();
    }

    [Fact]
    public async Task Create_WithFileIds_SendsFileContent()
    {
        var (picture, paper) = (await UploadAsync(Picture, "p.png"), await UploadAsync(Paper, "paper.pdf"));
        var response = await CreateAsync(Input($$"""{"type":"input_image","file_id":"{{picture}}","detail":"low"},{"type":"input_file","file_id":"{{paper}}"}"""));
        Assert.Equal("completed", response.GetProperty("status").GetString());
        var parts = _upstream.Received.Single().GetProperty("messages")[0].GetProperty("content");
        Assert.Equal("data:image/png;base64," + Convert.ToBase64String(Picture), parts[0].GetProperty("image_url").GetProperty("url").GetString());
        Assert.Equal("data:application/pdf;base64," + Convert.ToBase64String(Paper), parts[1].GetProperty("file").GetProperty("file_data").GetString());
        Assert.Equal("paper.pdf", parts[1].GetProperty("file").GetProperty("filename").GetString());

        // A later turn has it still, when the file is gone.
        using (var gone = await _gateway.Client.DeleteAsync(new Uri($"/v1/files/{paper}", UriKind.Relative), Cancel)) Assert.Equal(HttpStatusCode.OK, gone.StatusCode);
        await CreateAsync($$"""{"model":"m","input":"And?","previous_response_id":"{{response.GetProperty("id").GetString()}}"}""");
        Assert.Equal("paper.pdf", _upstream.Received.Last().GetProperty("messages")[0].GetProperty("content")[1].GetProperty("file").GetProperty("filename").GetString());
    }

    [Fact]
    public async Task Create_BackgroundWithFileId_SendsFileContent()
    {
        var picture = await UploadAsync(Picture, "p.png");
        // No client waits for a background response, so the gateway requests a stream.
        _upstream.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":"seen"}"""), FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
        };
        var queued = await CreateAsync(Input($$"""{"type":"input_image","file_id":"{{picture}}"}""", ",\"background\":true"));
        var id = queued.GetProperty("id").GetString()!;
        for (var i = 0; queued.GetProperty("status").GetString() is "queued" or "in_progress"; i++)
        {
            Assert.True(i < 1000, "It does not end.");
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, Cancel);
            queued = await BatchCalls.GetAsync(_gateway.Client, $"/v1/responses/{id}");
        }
        Assert.Equal("completed", queued.GetProperty("status").GetString());
        Assert.StartsWith("data:image/png", _upstream.Received.Single().GetProperty("messages")[0].GetProperty("content")[0].GetProperty("image_url").GetProperty("url").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task InputTokens_InputWithFileId_AreCounted()
    {
        var paper = await UploadAsync(Paper, "paper.pdf");
        var counted = await _gateway.Client.PostForJsonAsync("/v1/responses/input_tokens", Input($$"""{"type":"input_text","text":"x"},{"type":"input_file","file_id":"{{paper}}"}"""));
        Assert.True(counted.GetProperty("input_tokens").GetInt32() > 0);
    }

    [Fact]
    public async Task Create_UnusableFile_IsRefusedWithItsLocation()
    {
        await RefusedAsync("""{"type":"input_file","file_id":"file-nothing"}""", HttpStatusCode.NotFound);
        await RefusedAsync($$"""{"type":"input_image","file_id":"{{await UploadAsync(Paper, "paper.pdf")}}"}""", HttpStatusCode.BadRequest);
        await RefusedAsync($$"""{"type":"input_file","file_id":"{{await UploadAsync(Paper, "paper.pdf")}}","file_data":"data:text/plain;base64,QQ=="}""", HttpStatusCode.BadRequest);
        await RefusedAsync($$"""{"type":"input_file","file_id":"{{await UploadAsync(new byte[1_000_000], "large.bin")}}"}""", HttpStatusCode.RequestEntityTooLarge);
        Assert.Empty(_upstream.Received);
    }

    private static string Input(string parts, string more = "") => $$"""{"model":"m","input":[{"role":"user","content":[{{parts}}]}]{{more}}}""";

    private async Task<string> UploadAsync(byte[] content, string name)
    {
        using var response = await BatchCalls.UploadAsync(_gateway.Client, content, "user_data", name);
        return (await BatchCalls.JsonAsync(response)).GetProperty("id").GetString()!;
    }

    private Task<JsonElement> CreateAsync(string body) => _gateway.Client.PostForJsonAsync("/v1/responses", body);

    private async Task RefusedAsync(string part, HttpStatusCode status)
    {
        using var response = await _gateway.Client.PostAsync(new Uri("/v1/responses", UriKind.Relative), new StringContent(Input(part), Encoding.UTF8, "application/json"), Cancel);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.StatusCode == status, $"{(int)response.StatusCode} {text}");
        Assert.Equal("input[0].content[0].file_id", JsonDocument.Parse(text).RootElement.GetProperty("error").GetProperty("param").GetString());
    }
}
