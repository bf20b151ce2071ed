using System.Text;
using Fairlead.Errors;
using Fairlead.FunctionalTests.Common;
using Microsoft.AspNetCore.Http;

namespace Fairlead.FunctionalTests.Errors;

/// <summary>One way to cause an error over HTTP, and the special properties of its response.</summary>
/// <param name="Gateway">Where to.</param>
/// <param name="Request">What to send, without the key.</param>
/// <param name="Key">The key, or null for none.</param>
internal sealed record Provocation(TestGateway Gateway, HttpRequestMessage Request, string? Key)
{
    /// <summary>The field that causes the error; null if none does.</summary>
    public string? Parameter { get; init; }

    /// <summary>OpenAI's finer code, where there is one.</summary>
    public string? Finer { get; init; }

    /// <summary>Whether the response says how long to wait.</summary>
    public bool Waits { get; init; }

    /// <summary>Whether this request can never succeed, although the code says that a later one may.</summary>
    public bool NeverSucceeds { get; init; }

    /// <summary>Methods of the address.</summary>
    public string? Allow { get; init; }

    /// <summary>Whether a stream was already under way to the model when it failed, so that a streamed call is another case.</summary>
    public bool AlsoStreamed { get; init; }
}

/// <summary>The table of provocations: for each code and door, the request that brings it about.</summary>
internal static class Provocations
{
    private static readonly string Long = string.Concat(Enumerable.Repeat("word ", 200));

    /// <summary>The way to <paramref name="code"/> through <paramref name="door"/>, or null where the table has none.</summary>
    public static Provocation? Find(ErrorWorld world, ErrorCode code, Door door, bool stream)
    {
        var gateway = world.Gateway;
        var known = door == Door.Admin ? TestGateway.AdminKey : gateway.Key;
        var simple = door.IsEmbeddings ? "sim-embed" : "sim-fast";

        switch (code)
        {
            case ErrorCode.MalformedJson:
                return new(gateway, Post(door, """{"model":"sim-fast",""" + "}"), known);
            case ErrorCode.InvalidParameter when door.Generates:
                return new(gateway, Post(door, door.Body(simple, door.Own("\"class\":7"))), known) { Parameter = door.OwnName("class"), Finer = "invalid_type" };
            case ErrorCode.InvalidParameter when door == Door.Admin:
                return new(gateway, Post(door, """{"name":5}"""), known) { Parameter = "/name" };
            case ErrorCode.InvalidParameter:
                return new(gateway, Get(door, $"{door.Path}?limit=abc"), known) { Parameter = "limit" };
            case ErrorCode.MissingParameter when door.Generates:
                return new(gateway, Post(door, "{" + door.Content + "}"), known) { Parameter = "model", Finer = "missing_required_parameter" };
            case ErrorCode.MissingParameter:
                return new(gateway, Post(door, "{}"), known) { Parameter = "/name" };
            case ErrorCode.UnsupportedParameter when door.Generates:
                // What the model cannot do, what other dialects know, and what this one cannot show.
                if (door == Door.Chat) return new(gateway, Post(door, door.Body("tiny", ",\"logprobs\":true", stream)), known) { Parameter = "logprobs", AlsoStreamed = true };
                if (door == Door.Responses) return new(gateway, Post(door, door.Body("tiny", ",\"top_logprobs\":1", stream)), known) { Parameter = "top_logprobs", AlsoStreamed = true };
                var unsupported = door == Door.Generations ? "logprobs" : "structured";
                return new(gateway, Post(door, door.Body(simple, door.Own($"\"{unsupported}\":\"partial\""))), known) { Parameter = door.OwnName(unsupported) };
            case ErrorCode.UnsupportedParameter:
                return new(gateway, Post(door, """{"name":"x","nonsense":1}"""), known) { Parameter = "/nonsense" };
            case ErrorCode.ContextLengthExceeded:
                return new(gateway, Post(door, door.Body(door.IsEmbeddings ? "tiny-embed" : "tiny", stream: stream).Replace("\"hi\"", $"\"{Long}\"", StringComparison.Ordinal)), known)
                {
                    Parameter = door == Door.Completions ? "prompt" : door.IsEmbeddings || door == Door.Responses || door == Door.Generations ? "input" : "messages",
                    AlsoStreamed = true,
                };
            case ErrorCode.IncompatibleInput:
                var picture = door == Door.Chat
                    ? """[{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]"""
                    : door == Door.Responses ? """[{"type":"input_image","image_url":"https://example.com/a.png"}]"""
                    : door == Door.Generations ? """[{"type":"image","url":"https://example.com/a.png"}]"""
                    : """[{"type":"image","source":{"type":"url","url":"https://example.com/a.png"}}]""";
                return new(gateway, Post(door, door.Body("tiny", stream: stream).Replace("\"hi\"", picture, StringComparison.Ordinal)), known)
                {
                    Parameter = door == Door.Generations ? "input/0/content/0" : door == Door.Responses ? "input[0].content[0]" : "messages[0].content[0]",
                    AlsoStreamed = true,
                };
            case ErrorCode.ContentBlocked:
                return new(gateway, Post(door, door.Body(simple, stream: stream).Replace("\"hi\"", "\"a blocked phrase\"", StringComparison.Ordinal)), world.PolicyKey) { AlsoStreamed = true };
            case ErrorCode.ModelNotFound when door.Generates:
                return new(gateway, Post(door, door.Body("no-such-model", stream: stream)), known) { Parameter = "model", AlsoStreamed = true };
            case ErrorCode.ModelNotFound:
                return new(gateway, Get(door, $"{door.Path}/no-such-model"), known) { Parameter = "model" };
            case ErrorCode.ResultExpired when door == Door.V2:
                return new(gateway, Get(door, $"/v2/generations/{world.EndedGeneration}/result"), known);
            case ErrorCode.NotFound when door == Door.V2:
                return new(gateway, Get(door, "/v2/nothing"), known);
            case ErrorCode.NotFound when door == Door.Admin:
                return new(gateway, Get(door, $"{door.Path}/org_none"), known);
            case ErrorCode.NotFound:
                return new(gateway, Post(door, door.Body(simple), $"{door.Path}/nothing/at/all"), known);
            case ErrorCode.MethodNotAllowed when door == Door.Generations:
                return new(gateway, Dressed(door, new HttpRequestMessage(HttpMethod.Put, door.Path)), known) { Allow = "GET, HEAD, POST" };
            case ErrorCode.MethodNotAllowed when door.Generates:
                return new(gateway, Get(door, door.Path), known) { Allow = "POST" };
            case ErrorCode.MethodNotAllowed:
                return new(gateway, Dressed(door, new HttpRequestMessage(HttpMethod.Put, door.Path)), known) { Allow = door == Door.Admin ? "GET, HEAD, POST" : "GET, HEAD" };
            case ErrorCode.ModelRetired:
                return new(gateway, Post(door, door.Body("gone", stream: stream)), known) { Parameter = "model", AlsoStreamed = true };
            case ErrorCode.PayloadTooLarge:
                return new(gateway, Post(door, door == Door.Admin ? $$"""{"name":"{{new string('x', 300_000)}}"}""" : door.Body(simple, $",\"user\":\"{new string('x', 70_000)}\"")), known);
            case ErrorCode.UnsupportedMediaType:
                return new(gateway, Post(door, door.Body(simple), type: "text/plain"), known);
            case ErrorCode.Conflict:
                return new(gateway, new HttpRequestMessage(HttpMethod.Delete, $"/admin/v1/projects/{gateway.ProjectId}"), known);

            case ErrorCode.IdempotencyInProgress:
                return new(gateway, Repeated(Post(door, door.Body(simple)), ErrorWorld.BusyKey(door)), known) { Parameter = "Idempotency-Key", Waits = true };
            case ErrorCode.IdempotencyConflict:
                return new(gateway, Repeated(Post(door, door.Body(simple, door == Door.Generations ? ""","task":"another" """ : ""","user":"another" """)), ErrorWorld.BusyKey(door)), known) { Parameter = "Idempotency-Key" };
            case ErrorCode.NotCached:
                var only = Post(door, door.Body(simple, stream: stream));
                only.Headers.TryAddWithoutValidation("Cache-Control", "only-if-cached");
                return new(gateway, only, known);

            case ErrorCode.MissingApiKey:
                return new(gateway, Usual(door, simple), null);
            case ErrorCode.InvalidApiKey:
                return new(gateway, Usual(door, simple), gateway.Key[..^1] + (gateway.Key[^1] == 'a' ? 'b' : 'a'));
            case ErrorCode.KeyExpired:
                return new(gateway, Usual(door, simple), world.ExpiredKey);
            case ErrorCode.KeyRevoked:
                return new(gateway, Usual(door, simple), world.RevokedKey);
            case ErrorCode.InsufficientScope:
                return new(gateway, Usual(door, simple), world.NarrowKey);
            case ErrorCode.ModelNotAllowed:
                return new(gateway, Post(door, door.Body(simple, stream: stream)), world.OneModelKey) { Parameter = "model", AlsoStreamed = true };
            case ErrorCode.ClassNotAllowed:
                return new(gateway, Post(door, door.Body(simple, door.Own("\"class\":\"realtime\""))), world.BulkKey) { Parameter = door.OwnName("class") };
            case ErrorCode.AddressNotAllowed:
                return new(gateway, Usual(door, simple), world.ElsewhereKey);

            case ErrorCode.RateLimitExceeded:
                return Failing(world, door, stream, 429, waits: true);
            case ErrorCode.ProviderError:
                return Failing(world, door, stream, 500);
            case ErrorCode.ProviderUnavailable:
                return Failing(world, door, stream, 503, waits: true);
            case ErrorCode.ProviderTimeout:
                return Failing(world, door, stream, 504);
            case ErrorCode.ProviderRejected:
                return Failing(world, door, stream, 400);
            case ErrorCode.DeadlineExceeded:
                world.Upstream.Answer = context => Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
                return new(gateway, Post(door, door.Body(Upstream(door), door.Own("\"deadline_ms\":150"), stream)), known) { AlsoStreamed = true };

            case ErrorCode.InternalError when door.Generates:
                return new(gateway, Post(door, door.Body(door.IsEmbeddings ? "bad-embed" : "bad", stream: stream)), known) { AlsoStreamed = true };
            case ErrorCode.InternalError:
                var request = Usual(door, simple);
                request.Headers.Add(ErrorWorld.BugHeader, "1");
                return new(gateway, request, known);
            case ErrorCode.StoreUnavailable when door.Generates:
                world.Upstream.Answer = Answers;
                // Simulated models need no attempt to count; a provider that counts does.
                return new(world.Spoolless, Post(door, door.Body(door == Door.CountTokens ? "cl" : simple, stream: stream)), world.Spoolless.Key) { Waits = true, AlsoStreamed = true };
            case ErrorCode.StoreUnavailable when door == Door.V2:
                return new(world.Storeless, Get(door, "/v2/usage"), world.Storeless.Key) { Waits = true };
            case ErrorCode.StoreUnavailable:
                return new(world.Storeless, Get(door, door.Path), TestGateway.AdminKey) { Waits = true };
            case ErrorCode.BudgetExceeded:
                return new(world.Poor, Post(door, door.Body(simple, stream: stream)), world.Poor.Key) { Finer = "insufficient_quota", AlsoStreamed = true, NeverSucceeds = true };
            case ErrorCode.QueueFull:
                // A generation of our own says so itself; other dialects by the header.
                var job = Post(door, door == Door.Generations ? door.Body(simple, stream: true, more: ",\"delivery\":{\"mode\":\"job\"}") : door.Body(simple));
                if (door != Door.Generations) job.Headers.Add("Prefer", "respond-async");
                return new(world.Full, job, world.Full.Key) { Waits = true };
            case ErrorCode.Overloaded:
                return new(world.Heavy, Post(door, door.Body(simple, stream: stream)), world.Heavy.Key) { Waits = true };
            case ErrorCode.ShuttingDown:
                return new(world.Draining, Post(door, door.Body(simple, stream: stream)), world.Draining.Key) { Waits = true };
            default:
                return null;
        }
    }

    public static string Upstream(Door door) => door.Shape == ErrorShape.Anthropic ? "cl" : door.IsEmbeddings ? "up-embed" : "up";

    public static HttpRequestMessage Post(Door door, string body, string? path = null, string type = "application/json") =>
        Dressed(door, new HttpRequestMessage(HttpMethod.Post, path ?? door.Path) { Content = new StringContent(body, Encoding.UTF8, type) });

    private static Task Answers(HttpContext context) => FakeUpstream.Json(context, """{"input_tokens":3}""");

    private static HttpRequestMessage Repeated(HttpRequestMessage request, string key)
    {
        request.Headers.Add("Idempotency-Key", key);
        return request;
    }

    private static HttpRequestMessage Get(Door door, string path) => Dressed(door, new HttpRequestMessage(HttpMethod.Get, path));

    private static HttpRequestMessage Usual(Door door, string model) => door.Generates ? Post(door, door.Body(model)) : Get(door, door.Path);

    private static HttpRequestMessage Dressed(Door door, HttpRequestMessage request)
    {
        if (door.Shape == ErrorShape.Anthropic) request.Headers.Add("anthropic-version", "2023-06-01");
        return request;
    }

    private static Provocation Failing(ErrorWorld world, Door door, bool stream, int status, bool waits = false)
    {
        world.Upstream.Answer = context =>
        {
            if (waits) context.Response.Headers.RetryAfter = "2";
            return FakeUpstream.Json(context, $$$"""{"type":"error","error":{"type":"some_error","message":"{{{Secrets.Text}}}"}}""", status);
        };
        // Of its own for 429: the deployment is left alone for as long as the response says.
        var model = status == 429 ? Upstream(door) + "-limited" : Upstream(door);
        return new(world.Gateway, Post(door, door.Body(model, stream: stream)), world.Gateway.Key) { Waits = waits, AlsoStreamed = true };
    }
}
