using System.Text.Json.Nodes;
using Fairlead.Access;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Memory;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Http;

public sealed class EndpointInvokerTests
{
    private const int SqliteConstraint = 19;
    private const int SqliteCannotOpen = 14;

    private readonly DefaultHttpContext _context = new()
    {
        RequestServices = new ServiceCollection().BuildServiceProvider(),
        Response = { Body = new MemoryStream() },
    };

    private int _logged;

    private EndpointPolicy Policy => new(Scopes.AdminRead, ErrorShape.Problem)
    {
        StoreError = new GatewayError(ErrorCode.StoreUnavailable, "Not now.") { RetryAfter = TimeSpan.FromSeconds(5) },
        LogStoreError = (_, _) => _logged++,
    };

    private static readonly Dictionary<string, Exception> Exceptions = new(StringComparer.Ordinal)
    {
        ["refusal"] = new GatewayErrorException(new GatewayError(ErrorCode.NotFound, "x")),
        ["memory"] = new MemoryExhaustedException(MemoryBudget.Overloaded),
        ["contradiction"] = new SqliteException("x", SqliteConstraint),
        ["database"] = new SqliteException("x", SqliteCannotOpen),
        ["disk"] = new IOException("x"),
        ["framing"] = new BadHttpRequestException("x", 400),
        ["size"] = new BadHttpRequestException("x", 413),
    };

    [Theory]
    [InlineData("refusal", 404, "not_found")]
    [InlineData("memory", 503, "overloaded")]
    [InlineData("contradiction", 409, "conflict")]
    [InlineData("database", 503, "store_unavailable")]
    [InlineData("disk", 503, "store_unavailable")]
    [InlineData("framing", 400, "malformed_json")]
    [InlineData("size", 413, "payload_too_large")]
    public async Task Handler_Throws_ReturnsTheError(string cause, int status, string code)
    {
        var body = await InvokeAsync(_ => throw Exceptions[cause]);
        Assert.Equal(status, _context.Response.StatusCode);
        Assert.Equal(code, (string?)body!["code"]);
        Assert.Equal(code == "store_unavailable" ? 1 : 0, _logged);
        if (code == "store_unavailable") Assert.Equal("5", _context.Response.Headers.RetryAfter);
    }

    [Fact]
    public async Task Handler_ReturnsAnError_WritesItWithTheHeadersOfTheResult()
    {
        var body = await InvokeAsync(_ =>
        {
            EndpointResult result = new GatewayError(ErrorCode.Conflict, "Wait.");
            return Task.FromResult(result.WithHeader("Retry-After", "1"));
        });
        Assert.Equal("conflict", (string?)body!["code"]);
        Assert.Equal("1", _context.Response.Headers.RetryAfter);
    }

    [Fact]
    public async Task Handler_ThrowsAnythingElse_LeavesItToTheMiddleware() =>
        await Assert.ThrowsAsync<InvalidOperationException>(() => InvokeAsync(_ => throw new InvalidOperationException()));

    [Theory]
    [InlineData("cancelled", true)]
    [InlineData("transport", true)]
    [InlineData("reset", false)]
    public async Task Handler_ClientDisconnects_WritesNothing(string cause, bool isAborted)
    {
        using var aborted = new CancellationTokenSource();
        _context.RequestAborted = aborted.Token;
        var body = await InvokeAsync(_ =>
        {
            if (isAborted) aborted.Cancel();
            throw cause switch
            {
                "cancelled" => new OperationCanceledException(),
                "transport" => new IOException("x"),
                _ => new ConnectionResetException("x"),
            };
        });
        Assert.Null(body);
        Assert.Equal(0, _logged);
    }

    [Fact]
    public async Task Caller_WithoutTheScope_IsNotServed()
    {
        var body = await InvokeAsync(_ => throw new InvalidOperationException(), scope: Scopes.Chat);
        Assert.Equal("insufficient_scope", (string?)body!["code"]);
    }

    [Fact]
    public async Task Resources_OfARequest_AreDisposedAfterTheResponseInReverseOrder()
    {
        var steps = new List<string>();
        await InvokeAsync(request =>
        {
            request.DisposeAfterResponse(new Step(() => steps.Add("first")));
            request.DisposeAfterResponse(new Step(() => steps.Add("second")));
            return Task.FromResult(EndpointResult.Json(json =>
            {
                steps.Add("written");
                json.WriteStartObject();
                json.WriteEndObject();
            }));
        });
        Assert.Equal(["written", "second", "first"], steps);
    }

    [Fact]
    public void Shape_OfAPolicyForAnthropicClients_FollowsTheirHeader()
    {
        var policy = new EndpointPolicy(Scopes.Models, ErrorShape.OpenAi) { ServesAnthropicClients = true };
        Assert.Equal(ErrorShape.OpenAi, policy.ShapeFor(_context.Request));
        _context.Request.Headers["anthropic-version"] = "2023-06-01";
        Assert.Equal(ErrorShape.Anthropic, policy.ShapeFor(_context.Request));
        Assert.Equal(ErrorShape.OpenAi, (policy with { ServesAnthropicClients = false }).ShapeFor(_context.Request));
    }

    /// <summary>The body of the response; null if nothing was written.</summary>
    private async Task<JsonNode?> InvokeAsync(EndpointHandler handler, string scope = Scopes.AdminRead)
    {
        var invoker = new EndpointInvoker(new FixedCaller(scope), NullLogger<EndpointInvoker>.Instance);
        await invoker.InvokeAsync(_context, Policy, handler);
        await _context.Response.BodyWriter.FlushAsync(TestContext.Current.CancellationToken);
        var written = ((MemoryStream)_context.Response.Body).ToArray();
        return written.Length == 0 ? null : JsonNode.Parse(written);
    }

    private sealed class Step(Action run) : IDisposable
    {
        public void Dispose() => run();
    }

    private sealed class FixedCaller(string scope) : ICallerSource
    {
        public ValueTask<AuthenticationResult> AuthenticateAsync(HttpContext context, string? required)
        {
            var caller = new Caller
            {
                OrganizationId = "org_1", OrganizationName = "O", ProjectId = "proj_1", ProjectName = "P", KeyId = "key_1", KeyName = "K", Scopes = [scope],
                Admin = scope == Scopes.AdminRead ? AdminGrant.Owner : null,
            };
            return new(required is null || caller.HasScope(required)
                ? new AuthenticationResult(caller, null)
                : new AuthenticationResult(null, new GatewayError(ErrorCode.InsufficientScope, "x")));
        }
    }
}
