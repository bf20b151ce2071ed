using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.RegularExpressions;
using Fairlead.FunctionalTests.Common;
using Microsoft.AspNetCore.Http;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Storms;

/// <summary>How the storm's upstream treats one attempt.</summary>
internal enum Weather
{
    Fair,
    Slow,
    Refusal,
    MalformedChunk,
    NoUsage,
    FinishWithoutEnd,
    TooManyRequests,
    ServerError,
    RefusedByEvent,
    CutBeforeHeaders,
    CutMidStream,
    Stall,
    NeverEnding,
}

/// <summary>One attempt as the upstream counted it.</summary>
internal sealed record Arrival(string RequestId, Weather Weather);

/// <summary>Responds to each call of the storm by its plan, and counts the arrivals.</summary>
internal sealed partial class StormUpstream(IReadOnlyList<StormCall> calls)
{
    private readonly ConcurrentDictionary<int, int> _attempts = new();
    private int _open;

    public ConcurrentQueue<Arrival> Arrivals { get; } = new();

    /// <summary>Responses under way. Those that hang end only when the gateway closes the connection.</summary>
    public int Open => Volatile.Read(ref _open);

    public async Task AnswerAsync(HttpContext context)
    {
        Interlocked.Increment(ref _open);
        try
        {
            var request = (JsonElement)context.Items[RequestItem]!;
            var call = calls[int.Parse(Mark().Match(request.GetRawText()).Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture)];
            var attempt = _attempts.AddOrUpdate(call.Number, 0, static (_, known) => known + 1);
            var weather = attempt < call.Plan.Count ? call.Plan[attempt] : Weather.Fair;
            Arrivals.Enqueue(new Arrival(context.Request.Headers["X-Client-Request-Id"].ToString(), weather));
            call.Reached.TrySetResult();
            await (context.Request.Path.Value!.EndsWith("embeddings", StringComparison.Ordinal) ? EmbedAsync(context, weather)
                : request.TryGetProperty("stream", out var stream) && stream.GetBoolean() ? StreamAsync(context, weather) : WholeAsync(context, weather));
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The gateway closed the connection, as it must.
        }
        finally
        {
            Interlocked.Decrement(ref _open);
        }
    }

    private static Task EmbedAsync(HttpContext context, Weather weather) => FailedAsync(context, weather)
        ?? Json(context, """{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,0.25]}],"model":"e","usage":{"prompt_tokens":7,"total_tokens":7}}""");

    private static Task WholeAsync(HttpContext context, Weather weather)
    {
        if (FailedAsync(context, weather) is { } failed) return failed;
        var body = Completion("a fair answer");
        if (weather == Weather.NoUsage) body = body.Replace(",\"usage\":" + Usage, "", StringComparison.Ordinal);
        return Json(context, IsText(context) ? body.Replace("\"message\":", "\"text\":\"a fair answer\",\"message\":", StringComparison.Ordinal) : body);
    }

    private static async Task StreamAsync(HttpContext context, Weather weather)
    {
        if (weather is Weather.TooManyRequests or Weather.ServerError or Weather.CutBeforeHeaders)
        {
            await FailedAsync(context, weather)!;
            return;
        }
        await BeginAsync(context);
        if (weather == Weather.RefusedByEvent)
        {
            await SendAsync(context, """{"error":{"message":"no","type":"invalid_request_error"}}""");
            return;
        }
        await SendAsync(context, Piece(context, "one "));
        for (var i = 0; i < 4; i++)
        {
            if (weather == Weather.Slow) await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, context.RequestAborted);
            if (weather == Weather.MalformedChunk && i == 1) await SendAsync(context, "{\"choices\":[{");
            await SendAsync(context, weather == Weather.Refusal && !IsText(context) ? Chunk("""{"refusal":"no "}""") : Piece(context, "more "));
            if (weather == Weather.CutMidStream && i == 2)
            {
                Cut(context);
                return;
            }
        }
        if (weather == Weather.Stall) await HangAsync(context);
        while (weather == Weather.NeverEnding)
        {
            await SendAsync(context, Piece(context, "again "));
            await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System, context.RequestAborted);
        }
        await SendAsync(context, IsText(context) ? Text("", "\"stop\"") : Chunk("{}", "stop"));
        if (weather == Weather.FinishWithoutEnd) await HangAsync(context);
        if (weather != Weather.NoUsage) await SendAsync(context, UsageChunk());
        await SendAsync(context, "[DONE]");
    }

    /// <summary>The failure before a response, or null.</summary>
    private static Task? FailedAsync(HttpContext context, Weather weather)
    {
        switch (weather)
        {
            case Weather.TooManyRequests: return Json(context, """{"error":{"message":"slow down"}}""", 429);
            case Weather.ServerError: return Json(context, "{}", 500);
            case Weather.RefusedByEvent: return Json(context, """{"error":{"message":"no","type":"invalid_request_error"}}""", 400);
            case Weather.CutBeforeHeaders or Weather.CutMidStream:
                Cut(context);
                return Task.CompletedTask;
            case Weather.Stall or Weather.NeverEnding: return HangAsync(context);
            default: return null;
        }
    }

    private static Task HangAsync(HttpContext context) => Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);

    private static bool IsText(HttpContext context) => context.Request.Path.Value!.EndsWith("/v1/completions", StringComparison.Ordinal);

    private static string Piece(HttpContext context, string text) => IsText(context) ? Text(text, "null") : Chunk($$"""{"content":"{{text}}"}""");

    private static string Text(string text, string finish) =>
        $$"""{"id":"cmpl-up","object":"text_completion","created":1700000000,"model":"upstream-m-0001","choices":[{"index":0,"text":"{{text}}","logprobs":null,"finish_reason":{{finish}}}]}""";

    [GeneratedRegex("storm (\\d+) call")]
    private static partial Regex Mark();
}
