using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Streaming;

namespace Fairlead.Generations;

/// <summary>Makes the ends of generations, as the database stores them. Thread-safe.</summary>
internal sealed class GenerationEndFactory(JobCalls calls, IConfigurationSource configuration, TimeProvider time)
{
    /// <summary>The files of a batch replace the results of its lines. This is for a batch that never gets its files.</summary>
    private static readonly TimeSpan LineTtl = TimeSpan.FromDays(60);

    /// <summary>The end of a run.</summary>
    public GenerationEnd Of(GenerationRecord record, RunResult result, DateTimeOffset endedAt) => new(
        result.Outcome.ToStatus(), result.Outcome, result.Status, result.Body, result.Details, endedAt, endedAt + TtlOf(record));

    /// <summary>The end of a generation that does not run.</summary>
    public GenerationEnd WithoutRun(GenerationRecord record, Outcome outcome, GatewayError error) =>
        WithoutRun(record.Dialect, record.RequestId, outcome, error, TtlOf(record));

    /// <summary>The end of all lines of a batch that do not run.</summary>
    public GenerationEnd LineWithoutRun(string dialect, string requestId, Outcome outcome, GatewayError error) =>
        WithoutRun(dialect, requestId, outcome, error, LineTtl);

    private GenerationEnd WithoutRun(string dialect, string requestId, Outcome outcome, GatewayError error, TimeSpan ttl)
    {
        var site = new PublicAddress(configuration.Current.PublicUrl, null, null, null);
        var shape = calls.ShapeOf(dialect);
        using var body = new PooledBuffer();
        ErrorBodyWriter.WriteBody(body, error, shape, requestId, site);
        var now = time.GetUtcNow();
        return new GenerationEnd(
            outcome.ToStatus(), outcome, ErrorBodyWriter.StatusOf(error, shape), body.WrittenSpan.ToArray(),
            GenerationDetails.Of(requestId, site, error), now, now + ttl);
    }

    private TimeSpan TtlOf(GenerationRecord record) => record.Batch is null ? configuration.Current.Jobs.ResultTtl : LineTtl;
}
