using System.Net;
using System.Text;
using Fairlead.Catalogue;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Providers.Http;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Providers.Http;

public class UpstreamErrorsTests
{
    private const string Secret = "sk-proj-Planted0Secret1";

    [Theory]
    [InlineData(400, """{"error":{"message":"bad field","type":"invalid_request_error","param":"temperature","code":"unsupported_value"}}""", ErrorCode.ProviderRejected, "GiveBack")]
    [InlineData(400, """{"error":{"message":"This model's maximum context length is 8192 tokens.","code":"context_length_exceeded"}}""", ErrorCode.ContextLengthExceeded, "GiveBack")]
    [InlineData(400, """{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}""", ErrorCode.ContextLengthExceeded, "GiveBack")]
    [InlineData(400, """{"error":{"code":"content_filter","message":"filtered","innererror":{"code":"ResponsibleAIPolicyViolation"}}}""", ErrorCode.ProviderRejected, "GiveBack")]
    [InlineData(400, """{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}""", ErrorCode.ProviderError, "Failover")]
    [InlineData(400, """{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the API"}}""", ErrorCode.ProviderUnavailable, "Failover")]
    [InlineData(413, "", ErrorCode.PayloadTooLarge, "GiveBack")]
    [InlineData(413, """{"error":{"message":"prompt is too long: 9 tokens > 8 maximum"}}""", ErrorCode.ContextLengthExceeded, "GiveBack")]
    [InlineData(422, """{"detail":"bad"}""", ErrorCode.ProviderRejected, "GiveBack")]
    [InlineData(418, "", ErrorCode.ProviderRejected, "GiveBack")]
    [InlineData(301, "", ErrorCode.ProviderError, "Failover")]
    [InlineData(401, """{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}""", ErrorCode.ProviderError, "Failover")]
    [InlineData(402, "", ErrorCode.ProviderUnavailable, "Failover")]
    [InlineData(403, "", ErrorCode.ProviderError, "Failover")]
    [InlineData(404, "<html>", ErrorCode.ProviderError, "Failover")]
    [InlineData(408, "", ErrorCode.ProviderTimeout, "Retry")]
    [InlineData(409, "", ErrorCode.ProviderUnavailable, "Retry")]
    [InlineData(429, "", ErrorCode.RateLimitExceeded, "Retry")]
    [InlineData(429, """{"error":{"message":"You exceeded your current quota, please check your plan","type":"insufficient_quota","code":"insufficient_quota"}}""", ErrorCode.ProviderUnavailable, "Failover")]
    [InlineData(500, "{", ErrorCode.ProviderError, "Retry")]
    [InlineData(502, "<html>", ErrorCode.ProviderUnavailable, "Retry")]
    [InlineData(503, "[]", ErrorCode.ProviderUnavailable, "Retry")]
    [InlineData(504, "", ErrorCode.ProviderTimeout, "Retry")]
    [InlineData(529, """{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}""", ErrorCode.ProviderUnavailable, "Retry")]
    public void FromResponse_StatusAndBody_DetermineErrorCodeAndAction(int status, string body, ErrorCode code, string failureClass)
    {
        var failed = Read(status, body);
        Assert.Equal(code, failed.Error.Code);
        Assert.Equal(failureClass, failed.Class.ToString());
        Assert.Equal(status, failed.Status);
    }

    [Fact]
    public void FromResponse_HarmlessRejection_ReturnsMessageAndField()
    {
        const string body = """{"error":{"message":"Unsupported value: 'temperature' does not support 0.7","param":"temperature"}}""";
        var native = Read(400, body);
        Assert.Contains("does not support 0.7", native.Error.Message, StringComparison.Ordinal);
        Assert.Equal("temperature", native.Error.Parameter);

        // In a translated call the provider's field names are not the client's.
        Assert.Null(Read(400, body, sameDialect: false).Error.Parameter);
    }

    [Theory]
    [InlineData(400)]
    [InlineData(401)]
    [InlineData(403)]
    [InlineData(404)]
    [InlineData(422)]
    [InlineData(429)]
    [InlineData(500)]
    [InlineData(503)]
    public void FromResponse_SecretsInErrorBody_NeverReachClientOrLog(int status)
    {
        string[] plants = [Secret, "https://gpu-7.internal.example/v1", "10.1.2.3", "org-9a8b7c", "/srv/models/llama", "ops@corp.example", "at Engine.Run(", "9e107d9d372bb6826bd81d3542a419d6"];
        foreach (var plant in plants)
        {
            var log = new ListLogger();
            var text = System.Text.Json.JsonEncodedText.Encode($"Something about {plant} failed").ToString();
            var failed = Read(status, $$$"""{"error":{"message":"{{{text}}}","param":"{{{text}}}","type":"{{{text}}}","code":"{{{text}}}"}}""", logger: log);
            var shown = failed.Error.ToString() + failed.Error.Details?.ToJsonString() + string.Concat(log.Lines);
            Assert.DoesNotContain(plant, shown, StringComparison.OrdinalIgnoreCase);
        }
    }

    [Fact]
    public void FromResponse_ProviderRejectsApiKey_LogsAlarmAndHidesKeyErrorFromClient()
    {
        var log = new ListLogger();
        var failed = Read(401, """{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}""", logger: log);
        Assert.Contains(log.Lines, line => line.Contains("ALARM", StringComparison.Ordinal) && line.Contains("invalid_api_key", StringComparison.Ordinal));
        Assert.DoesNotContain("key", failed.Error.Message, StringComparison.OrdinalIgnoreCase);
    }

    [Theory]
    [InlineData("Retry-After", "7", 7000)]
    [InlineData("Retry-After", "Mon, 23 Nov 2026 10:00:30 GMT", 30000)]
    [InlineData("Retry-After", "Mon, 23 Nov 2026 09:00:00 GMT", 0)]
    [InlineData("retry-after-ms", "250.5", 251)]
    [InlineData("Retry-After", "soon", null)]
    [InlineData("Retry-After", "-4", null)]
    [InlineData("Retry-After", "1e99", null)]
    public void FromResponse_RetryAfterHeader_ParsesEveryFormat(string header, string value, int? milliseconds)
    {
        var failed = Read(429, "", header: (header, value));
        Assert.Equal(milliseconds, failed.Error.RetryAfter?.TotalMilliseconds);
    }

    [Fact]
    public void FromResponse_RetryInfoInBody_SetsRetryAfter()
    {
        var failed = Read(429, """[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"Quota","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"13s"}]}}]""");
        Assert.Equal(TimeSpan.FromSeconds(13), failed.Error.RetryAfter);
    }

    [Theory]
    [InlineData("overloaded_error", ErrorCode.ProviderUnavailable)]
    [InlineData("timeout_error", ErrorCode.ProviderTimeout)]
    [InlineData("invalid_request_error", ErrorCode.ProviderRejected)]
    [InlineData("context_length_exceeded", ErrorCode.ContextLengthExceeded)]
    [InlineData("server_error", ErrorCode.ProviderError)]
    [InlineData(null, ErrorCode.ProviderError)]
    public void FromEvent_ErrorType_DeterminesErrorCode(string? type, ErrorCode code)
    {
        var error = UpstreamErrors.FromEvent(new UpstreamError(type, $"it broke because of {Secret}"));
        Assert.Equal(code, error.Code);
        Assert.DoesNotContain(Secret, error.Message, StringComparison.Ordinal);
    }

    private static GatewayReply.AttemptFailed Read(int status, string body, bool sameDialect = true, ILogger? logger = null, (string Name, string Value)? header = null)
    {
        using var response = new HttpResponseMessage((HttpStatusCode)status);
        if (header is { } h) response.Headers.TryAddWithoutValidation(h.Name, h.Value);
        var deployment = new Deployment { Name = "p/m", ProviderName = "p", UpstreamModel = "m" };
        var time = new FakeTimeProvider(new DateTimeOffset(2026, 11, 23, 10, 0, 0, TimeSpan.Zero));
        return UpstreamErrors.FromResponse(response.StatusCode, response.Headers, Encoding.UTF8.GetBytes(body), new Attempt("att_1", 1, deployment), sameDialect, time, logger ?? NullLogger.Instance);
    }

    private sealed class ListLogger : ILogger
    {
        public List<string> Lines { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => Lines.Add(formatter(state, exception));
    }
}
