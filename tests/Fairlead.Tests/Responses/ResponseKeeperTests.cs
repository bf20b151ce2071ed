using System.Text;
using Fairlead.Dialects.OpenAiResponses;
using Fairlead.Generations;
using Fairlead.Pipeline;
using Fairlead.Responses;
using Fairlead.Streaming;
using Fairlead.Tests.Auditing;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Responses;

public sealed class ResponseKeeperTests
{
    [Theory]
    [InlineData("proj_1", null)]
    [InlineData("proj_2", "previous_response_not_found")]
    public async Task Resolve_ResponseOfTheConnection_IsFoundOnlyByItsProject(string project, string? code)
    {
        var keeper = new ResponseKeeper(new EmptyStore(), null!, TimeProvider.System, NullLogger<ResponseKeeper>.Instance);
        using var session = new ResponseSession();
        var now = TimeProvider.System.GetUtcNow();
        var items = Encoding.UTF8.GetBytes("""[{"type":"message","role":"user","content":"x"}]""");
        Assert.True(session.TryKeep(new StoredResponse("resp_1", "proj_1", "completed", null, now, now.AddDays(1), "{}"u8.ToArray(), items, "[]"u8.ToArray())));
        using var body = new PooledBuffer();
        var call = RecordedCalls.New(project: project);
        call.Body = body;
        call.Session = session;
        call.Facts.Responses = new ResponsesFacts { PreviousResponseId = "resp_1" };
        var error = await keeper.ResolveAsync(call, new RequestBounds(), TestContext.Current.CancellationToken);
        Assert.Equal(code, error?.OpenAiCode);
        Assert.Equal(code is null ? 1 : null, call.Facts.Responses.History?.Count);
    }

    private sealed class EmptyStore : IResponseStore
    {
        public Task SaveAsync(StoredResponse response, RunLease? lease, CancellationToken cancellationToken) => Task.CompletedTask;

        public Task<StoredResponse?> FindAsync(string projectId, string id, StoredParts parts, Action<long>? count, CancellationToken cancellationToken) =>
            Task.FromResult<StoredResponse?>(null);

        public Task<bool> DeleteAsync(string projectId, string id, CancellationToken cancellationToken) => Task.FromResult(false);

        public Task<long> DeleteExpiredAsync(CancellationToken cancellationToken) => Task.FromResult(0L);
    }
}
