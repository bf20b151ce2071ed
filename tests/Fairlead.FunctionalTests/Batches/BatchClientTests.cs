using System.ClientModel;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Clients;
using Fairlead.FunctionalTests.Common;
using OpenAI;
using OpenAI.Batch;
using OpenAI.Files;

namespace Fairlead.FunctionalTests.Batches;

/// <summary>The official clients on files and batches.</summary>
public sealed class BatchClientTests : IAsyncLifetime
{
    private TestGateway _gateway = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _gateway = await TestGateway.StartAsync();

    public ValueTask DisposeAsync() => _gateway.DisposeAsync();

    [Fact]
    public Task OpenAiNode_FilesAndBatches_Work() => NodeClientTests.RunAsync(_gateway, "batches.mjs");

    [Fact]
    public async Task OpenAiNet_FilesAndBatches_Work()
    {
        var options = new OpenAIClientOptions { Endpoint = new Uri(_gateway.Url + "/v1") };
        var files = new OpenAIFileClient(new ApiKeyCredential(_gateway.Key), options);
        var input = new MemoryStream(Encoding.UTF8.GetBytes(BatchCalls.Line("a", "Hello, batch", "sim-echo")));
        OpenAIFile file = await files.UploadFileAsync(input, "input.jsonl", FileUploadPurpose.Batch, Cancel);
        Assert.Equal(FilePurpose.Batch, file.Purpose);

#pragma warning disable OPENAI001 // The client calls its batches experimental.
        var batches = new BatchClient(new ApiKeyCredential(_gateway.Key), new BatchClientOptions { Endpoint = options.Endpoint });
        var request = BinaryContent.Create(BinaryData.FromString($$"""{"input_file_id":"{{file.Id}}","endpoint":"/v1/chat/completions","completion_window":"24h"}"""));
        var operation = await batches.CreateBatchAsync(request, waitUntilCompleted: false);
#pragma warning restore OPENAI001
        var done = await BatchCalls.EndedAsync(_gateway.Client, operation.BatchId);
        Assert.Equal("completed", done.GetProperty("status").GetString());
        BinaryData output = await files.DownloadFileAsync(done.GetProperty("output_file_id").GetString(), Cancel);
        var answer = JsonDocument.Parse(output).RootElement;
        Assert.Equal("Hello, batch", answer.GetProperty("response").GetProperty("body").GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString());
        FileDeletionResult gone = await files.DeleteFileAsync(file.Id, Cancel);
        Assert.True(gone.Deleted);
    }
}
