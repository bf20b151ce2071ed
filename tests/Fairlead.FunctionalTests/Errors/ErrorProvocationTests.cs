using System.Globalization;
using System.Text.Json;
using Fairlead.Errors;

namespace Fairlead.FunctionalTests.Errors;

/// <summary>Every error of the list, brought about over HTTP at every door that can give it, in that door's shape.</summary>
public sealed class ErrorProvocationTests(ErrorWorld world) : IClassFixture<ErrorWorld>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public static TheoryData<ErrorCode, string, bool> Cases
    {
        get
        {
            var cases = new TheoryData<ErrorCode, string, bool>();
            foreach (var (code, door) in Pairs())
            {
                if (Absences.Of(code, door) is not null) continue;
                cases.Add(code, door.Name, false);
                if (door.Streams) cases.Add(code, door.Name, true);
            }
            return cases;
        }
    }

    private static readonly ErrorCode[] AfterAcceptance =
    [
        ErrorCode.RateLimitExceeded, ErrorCode.ProviderError, ErrorCode.ProviderUnavailable, ErrorCode.ProviderTimeout, ErrorCode.ProviderRejected,
        ErrorCode.DeadlineExceeded,
    ];

    [Fact]
    public void ErrorCatalogue_EveryCodeAtEveryEndpoint_IsTestedOrItsAbsenceExplained()
    {
        var open = Pairs().Where(pair => (Provocations.Find(world, pair.Code, pair.Door, stream: false) is null) == (Absences.Of(pair.Code, pair.Door) is null) && Absences.Of(pair.Code, pair.Door) is null)
            .Select(pair => $"{pair.Code} at {pair.Door}");
        Assert.Empty(open);
        var nowhere = ErrorCatalogue.All.Where(definition => Door.All.All(door => Absences.Of(definition.Code, door) is not null)).Select(definition => definition.Name);
        Assert.Empty(nowhere);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task ErrorCode_EveryEndpoint_RespondsInItsFormat(ErrorCode code, string doorName, bool stream)
    {
        var door = Door.All.Single(door => door.Name == doorName);
        var provocation = Provocations.Find(world, code, door, stream);
        Assert.NotNull(provocation);
        using var request = provocation.Request;
        if (provocation.Key is { } key) request.Headers.Add(door.Shape == ErrorShape.Anthropic ? "x-api-key" : "Authorization", door.Shape == ErrorShape.Anthropic ? key : $"Bearer {key}");
        using var client = provocation.Gateway.MakeClient(null);
        using var response = await client.SendAsync(request, Cancel);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        var seen = $"{(int)response.StatusCode} {text}";
        if (stream && door.BeginsAtOnce && AfterAcceptance.Contains(code))
        {
            CheckEvents(response, text, code, door);
            return;
        }
        Assert.True(response.Content.Headers.ContentType?.MediaType == ErrorBodyWriter.ContentTypeOf((Fairlead.Errors.ErrorShape)door.Shape), seen);

        var definition = ErrorCatalogue.Get(code);
        var status = door.Shape == ErrorShape.Anthropic ? definition.AnthropicStatus : definition.Status;
        Assert.True(status == (int)response.StatusCode, $"Expected {definition.Name}: {seen}");
        var body = JsonDocument.Parse(text).RootElement;
        var error = ErrorBody.Read(body, door.Shape);
        Assert.True((door.Shape == ErrorShape.OpenAi ? provocation.Finer ?? definition.Name : definition.Name) == error.Code, seen);
        Assert.True(FinerCodes.Contains(error.Code), $"{error.Code} is not documented: {seen}");
        var link = provocation.Gateway.Url + definition.DocPath;
        Assert.Equal(door.Shape switch { ErrorShape.OpenAi => definition.OpenAiType, ErrorShape.Anthropic => definition.AnthropicType, _ => link }, error.Type);
        Assert.Equal(link, error.DocUrl);
        var isRetryable = definition.Retryable && !provocation.NeverSucceeds;
        Assert.Equal(isRetryable, error.Retryable);
        Assert.False(string.IsNullOrWhiteSpace(error.Message), seen);
        Assert.False(string.IsNullOrWhiteSpace(error.Remedy), seen);
        if (door.Shape == ErrorShape.Problem)
        {
            Assert.Equal(status, body.GetProperty("status").GetInt32());
            Assert.Equal(definition.Title, body.GetProperty("title").GetString());
        }
        if (provocation.Parameter is { } parameter) Assert.True(error.Parameters.Any(at => at.TrimStart('/') == parameter.TrimStart('/')), $"Expected {parameter}: {seen}");
        else Assert.True(error.Parameters.Count == 0, seen);

        CheckHeaders(response, door, isRetryable, error, provocation, seen);
        foreach (var secret in Secrets.All) Assert.DoesNotContain(secret, $"{text} {response.Headers}", StringComparison.OrdinalIgnoreCase);
    }

    // Reported by events: the stream had started with a success status when the provider failed.
    private static void CheckEvents(HttpResponseMessage response, string text, ErrorCode code, Door door)
    {
        Assert.True(response.StatusCode == System.Net.HttpStatusCode.OK, text);
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType?.MediaType);
        var events = text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
        if (door == Door.Generations)
        {
            // The whole generation is in the last event, with its problem.
            Assert.Contains("event: generation.", events[^1], StringComparison.Ordinal);
            var last = JsonDocument.Parse(events[^1][(events[^1].IndexOf("\ndata: ", StringComparison.Ordinal) + 7)..]).RootElement;
            Assert.Equal(ErrorCatalogue.Get(code).Name, last.GetProperty("generation").GetProperty("error").GetProperty("code").GetString());
            foreach (var secret in Secrets.All) Assert.DoesNotContain(secret, $"{text} {response.Headers}", StringComparison.OrdinalIgnoreCase);
            return;
        }
        Assert.Equal("data: [DONE]", events[^1]);
        Assert.StartsWith("event: response.failed\n", events[^2], StringComparison.Ordinal);
        Assert.StartsWith("event: error\ndata: ", events[^3], StringComparison.Ordinal);
        var definition = ErrorCatalogue.Get(code);
        var error = ErrorBody.Read(JsonDocument.Parse(events[^3][(events[^3].IndexOf('\n', StringComparison.Ordinal) + 7)..]).RootElement, door.Shape);
        Assert.Equal(definition.Name, error.Code);
        Assert.Equal(definition.OpenAiType, error.Type);
        Assert.Equal(definition.Retryable, error.Retryable);
        Assert.Equal(Assert.Single(response.Headers.GetValues("x-request-id")), error.RequestId);
        foreach (var secret in Secrets.All) Assert.DoesNotContain(secret, $"{text} {response.Headers}", StringComparison.OrdinalIgnoreCase);
    }

    private static void CheckHeaders(HttpResponseMessage response, Door door, bool isRetryable, ErrorBody error, Provocation provocation, string seen)
    {
        string? Header(string name) => response.Headers.TryGetValues(name, out var values) ? string.Join(", ", values) : null;

        Assert.StartsWith("req_", error.RequestId, StringComparison.Ordinal);
        Assert.Equal(error.RequestId, Header("x-request-id"));
        Assert.Equal(door.Shape == ErrorShape.Anthropic ? error.RequestId : null, Header("request-id"));
        Assert.Equal("no-store", Header("Cache-Control"));

        var status = (int)response.StatusCode;
        Assert.Equal(status == 401, Header("WWW-Authenticate")?.StartsWith("Bearer", StringComparison.Ordinal) == true);
        if (status == 405) Assert.Equal(provocation.Allow, string.Join(", ", response.Content.Headers.Allow));

        Assert.True(provocation.Waits == error.RetryAfterMs is not null, seen);
        var waitsLong = error.RetryAfterMs > 60_000;
        if (error.RetryAfterMs is { } ms && isRetryable && !waitsLong)
        {
            Assert.Equal(ms.ToString(CultureInfo.InvariantCulture), Header("retry-after-ms"));
            Assert.Equal(((ms + 999) / 1000).ToString(CultureInfo.InvariantCulture), Header("Retry-After"));
        }
        else
        {
            Assert.Null(Header("Retry-After"));
            Assert.Null(Header("retry-after-ms"));
        }
        Assert.Equal((!isRetryable || waitsLong) && status is 408 or 409 or 429 or >= 500 ? "false" : null, Header("x-should-retry"));
    }

    private static IEnumerable<(ErrorCode Code, Door Door)> Pairs() =>
        from definition in ErrorCatalogue.All from door in Door.All select (definition.Code, door);
}
