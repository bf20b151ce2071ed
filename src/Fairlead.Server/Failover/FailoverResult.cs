namespace Fairlead.Server.Failover;

/// <summary>The result of one case with one model.</summary>
/// <param name="Case">Name of the case.</param>
/// <param name="Model">Name of the model.</param>
/// <param name="IsStream">Whether the response was streamed.</param>
/// <param name="Verdict">The judgement.</param>
/// <param name="Requests">Requests that the providers got.</param>
/// <param name="Duration">How long it took.</param>
internal sealed record FailoverResult(
    string Case, string Model, bool IsStream, FailoverVerdict Verdict, int Requests, TimeSpan Duration);
