using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Fairlead.Benchmarks;

/// <summary>
/// An OpenAI-style model server with minimal cost: a fixed response, or a stream of one token every <c>ms</c> milliseconds, by the
/// model's name (<c>m-sync</c>, <c>m-100ms-50</c> for 50 tokens at 100 ms).
/// </summary>
internal static class Upstream
{
    private static readonly byte[] Answer = Encoding.UTF8.GetBytes(
        """{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"bench","choices":[{"index":0,"message":"""
        + """{"role":"assistant","content":"A short answer, as a model would give it to a short question.","refusal":null}"""
        + ""","logprobs":null,"finish_reason":"stop"}],"usage":"""
        + """{"prompt_tokens":512,"completion_tokens":14,"total_tokens":526,"prompt_tokens_details":"""
        + """{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}}"""
        + ""","service_tier":"default","system_fingerprint":"fp_bench"}""");

    private static readonly byte[] First = Event(
        """{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"bench","choices":["""
        + """{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}""");

    private static readonly byte[] Token = Event(
        """{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"bench","choices":["""
        + """{"index":0,"delta":{"content":" token"},"finish_reason":null}]}""");

    private static readonly byte[] Last = Event(
        """{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"bench","choices":["""
        + """{"index":0,"delta":{},"finish_reason":"stop"}]}""");

    private static readonly byte[] Usage = Event(
        """{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"bench","choices":[],"usage":"""
        + """{"prompt_tokens":512,"completion_tokens":50,"total_tokens":562}}""");

    private static readonly byte[] Done = "data: [DONE]\n\n"u8.ToArray();

    public static async Task<int> RunAsync(string url)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls(url);
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Limits.MaxRequestBodySize = null);
        var app = builder.Build();
        app.MapPost("/v1/chat/completions", AnswerAsync);
        await app.RunAsync();
        return 0;
    }

    private static async Task AnswerAsync(HttpContext context)
    {
        string model = "";
        var stream = false;
        using (var body = new MemoryStream())
        {
            await context.Request.Body.CopyToAsync(body, context.RequestAborted);
            (model, stream) = Read(body.GetBuffer().AsSpan(0, (int)body.Length));
        }
        var response = context.Response;
        if (!stream)
        {
            response.ContentType = "application/json";
            response.ContentLength = Answer.Length;
            await response.BodyWriter.WriteAsync(Answer, context.RequestAborted);
            return;
        }

        var parts = model.Split('-');
        var pace = TimeSpan.FromMilliseconds(int.Parse(parts[1].AsSpan(0, parts[1].Length - 2), CultureInfo.InvariantCulture));
        var count = int.Parse(parts[2], CultureInfo.InvariantCulture);
        response.ContentType = "text/event-stream";
        var output = response.BodyWriter;
        await output.WriteAsync(First, context.RequestAborted);
        using var timer = new PeriodicTimer(pace);
        for (var i = 0; i < count; i++)
        {
            await output.WriteAsync(Token, context.RequestAborted);
            await timer.WaitForNextTickAsync(context.RequestAborted);
        }
        await output.WriteAsync(Last, context.RequestAborted);
        await output.WriteAsync(Usage, context.RequestAborted);
        await output.WriteAsync(Done, context.RequestAborted);
    }

    private static (string Model, bool Stream) Read(ReadOnlySpan<byte> body)
    {
        var reader = new Utf8JsonReader(body);
        var model = "";
        var stream = false;
        while (reader.Read())
        {
            if (reader.CurrentDepth != 1 || reader.TokenType != JsonTokenType.PropertyName) continue;
            if (reader.ValueTextEquals("model"u8))
            {
                reader.Read();
                model = reader.GetString() ?? "";
            }
            else if (reader.ValueTextEquals("stream"u8))
            {
                reader.Read();
                stream = reader.TokenType == JsonTokenType.True;
            }
            else
            {
                reader.Read();
                reader.Skip();
            }
        }
        return (model, stream);
    }

    private static byte[] Event(string json) => Encoding.UTF8.GetBytes($"data: {json}\n\n");
}
