using System.Text.Json;
using Fairlead.Batches;

namespace Fairlead.Tests.Batches;

public sealed class BatchWriterTests
{
    [Fact]
    public void WriteNews_ManyErrors_HasFirstTenAndStaysShort()
    {
        var batch = new BatchRecord
        {
            Id = "batch_1", OrganizationId = "org_1", ProjectId = "proj_1", KeyId = "key_1", Endpoint = "/v1/chat/completions", InputFileId = "file-1", Status = BatchStatus.Failed,
            CreatedAt = DateTimeOffset.UnixEpoch, ExpiresAt = DateTimeOffset.UnixEpoch,
            Errors = [.. Enumerable.Range(1, 100).Select(line => new BatchError("invalid_json_line", "This line is not parseable as valid JSON.", null, line))],
        };
        var news = JsonDocument.Parse(BatchWriter.WriteNews(batch)).RootElement;
        Assert.Equal(Enumerable.Range(1, 10), news.GetProperty("errors").GetProperty("data").EnumerateArray().Select(error => error.GetProperty("line").GetInt32()));
        // Standard Webhooks wants less than 20 kB.
        Assert.True(BatchWriter.WriteNews(batch).Length < 5_000);
        Assert.Equal(100, JsonDocument.Parse(BatchWriter.Write(batch)).RootElement.GetProperty("errors").GetProperty("data").GetArrayLength());
    }
}
