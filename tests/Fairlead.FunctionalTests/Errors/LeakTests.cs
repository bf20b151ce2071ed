using Fairlead.Errors;
using Fairlead.FunctionalTests.Common;
using Microsoft.AspNetCore.Http;

namespace Fairlead.FunctionalTests.Errors;

/// <summary>Secrets in a provider's failure stay on the provider's side: no response, stream or log line contains them.</summary>
public sealed class LeakTests(ErrorWorld world) : IClassFixture<ErrorWorld>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public static TheoryData<string, int, string> Failures
    {
        get
        {
            var failures = new TheoryData<string, int, string>();
            foreach (var door in Door.All.Where(door => door.Generates))
            {
                foreach (var status in (int[])[400, 401, 403, 404, 408, 413, 422, 429, 500, 502, 503, 504, 529]) failures.Add(door.Name, status, "json");
                foreach (var form in (string[])["html", "param", "nested", "garbage"]) failures.Add(door.Name, 400, form);
                failures.Add(door.Name, 500, "html");
                failures.Add(door.Name, 200, "garbage");
                failures.Add(door.Name, 302, "json");
            }
            return failures;
        }
    }

    [Theory]
    [MemberData(nameof(Failures))]
    public async Task UpstreamFailure_ContainingSecrets_IsRedacted(string doorName, int status, string form)
    {
        var door = Door.All.Single(door => door.Name == doorName);
        world.Upstream.Answer = context =>
        {
            context.Response.StatusCode = status;
            context.Response.ContentType = form == "html" ? "text/html" : "application/json";
            context.Response.Headers["x-upstream-host"] = Secrets.Host;
            if (status == 302) context.Response.Headers.Location = $"http://{Secrets.Host}{Secrets.File}";
            return context.Response.WriteAsync(
                form switch
                {
                    "html" => $"<html><body><h1>Traceback</h1><pre>{Secrets.Text}</pre></body></html>",
                    "param" => $$$"""{"error":{"message":"bad","type":"{{{Secrets.OtherKey}}}","code":"{{{Secrets.UpstreamKey}}}","param":"{{{Secrets.File}}}"}}""",
                    "nested" => $$$"""{"error":{"message":"bad","innererror":{"trace":"{{{Secrets.Text}}}"},"type":"invalid_request_error"},"detail":"{{{Secrets.Text}}}"}""",
                    "garbage" => $$"""{"choices":"{{Secrets.Text}}""",
                    _ => $$$"""{"type":"error","error":{"type":"invalid_request_error","message":"{{{Secrets.Text}}}"}}""",
                },
                context.RequestAborted);
        };
        foreach (var stream in door.Streams ? new[] { false, true } : [false])
        {
            using var request = Provocations.Post(door, door.Body(Provocations.Upstream(door), stream: stream));
            using var response = await world.Gateway.Client.SendAsync(request, Cancel);
            var text = await response.Content.ReadAsStringAsync(Cancel);
            var seen = $"{(int)response.StatusCode} {response.Headers} {text}";
            Assert.True((int)response.StatusCode >= 400 || (stream && door.BeginsAtOnce), seen);
            if ((int)response.StatusCode < 400 && door == Door.Generations)
            {
                // The whole generation is in the last event, with its problem.
                var last = text.Split('\n', StringSplitOptions.RemoveEmptyEntries)[^1][6..];
                text = System.Text.Json.JsonDocument.Parse(last).RootElement.GetProperty("generation").GetProperty("error").GetRawText();
            }
            else if ((int)response.StatusCode < 400) text = text.Split('\n').SkipWhile(line => line != "event: error").ElementAt(1)[6..];
            var error = ErrorBody.Read(System.Text.Json.JsonDocument.Parse(text).RootElement, door.Shape);
            Assert.NotNull(ErrorCatalogue.Find(error.DocUrl[(error.DocUrl.IndexOf('#', StringComparison.Ordinal) + 1)..]));
            NothingIn(seen);
        }
        NothingIn(string.Join('\n', world.Log.Lines));
    }

    [Theory]
    [InlineData("/v1/chat/completions", "up", true)]
    [InlineData("/v1/chat/completions", "up", false)]
    [InlineData("/v1/messages", "cl", true)]
    [InlineData("/v1/messages", "cl", false)]
    [InlineData("/v1/messages", "up", true)]
    [InlineData("/v1/chat/completions", "cl", true)]
    [InlineData("/v1/completions", "up", true)]
    public async Task StreamError_ContainingSecrets_IsRedacted(string path, string model, bool afterContent)
    {
        world.Upstream.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            if (afterContent)
            {
                if (model == "up") await FakeUpstream.SendAsync(context, path == "/v1/completions" ? """{"id":"c","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":"hello","finish_reason":null}]}""" : FakeUpstream.Chunk("""{"role":"assistant","content":"hello"}"""));
                else await context.Response.WriteAsync(AnthropicStart, Cancel);
            }
            var error = $$$"""{"type":"error","error":{"type":"server_error","message":"{{{Secrets.Text}}}"}}""";
            await context.Response.WriteAsync(model == "up" ? $"data: {error}\n\n" : $"event: error\ndata: {error}\n\n", Cancel);
        };
        var door = Door.All.First(door => door.Path == path);
        using var request = Provocations.Post(door, door.Body(model, stream: true));
        using var response = await world.Gateway.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Cancel);
        var stream = await SeenStream.ReadAsync(response, Cancel);
        if (afterContent) Assert.Contains("hello", stream.Raw, StringComparison.Ordinal);
        Assert.Contains("provider_error", stream.Raw, StringComparison.Ordinal);
        NothingIn($"{response.Headers} {stream.Raw}");
        NothingIn(string.Join('\n', world.Log.Lines));
    }

    private const string AnthropicStart =
        """
        event: message_start
        data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"upstream-c","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":5,"output_tokens":1}}}

        event: content_block_start
        data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

        event: content_block_delta
        data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hello"}}


        """;

    private static void NothingIn(string text)
    {
        foreach (var secret in Secrets.All)
        {
            var at = text.IndexOf(secret, StringComparison.OrdinalIgnoreCase);
            Assert.True(at < 0, at < 0 ? "" : $"'{secret}' leaked: …{text[Math.Max(0, at - 200)..Math.Min(text.Length, at + 100)]}");
        }
    }
}
