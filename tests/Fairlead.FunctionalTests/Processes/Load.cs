using System.Collections.Concurrent;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Microsoft.AspNetCore.Http;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Processes;

/// <summary>Clients that make calls of every kind, one after the other, until a stop is requested or the server has stopped.</summary>
internal sealed class Load
{
    public static readonly int Kinds = Enum.GetValues<LoadKind>().Length;

    private readonly ConcurrentQueue<LoadedCall> _calls = new();
    private long _seed;
    private int _finished;
    private (int Count, TaskCompletionSource Reached) _goal = (int.MaxValue, new());

    public static LoadKind KindOf(long seed) => (LoadKind)(seed % Kinds);

    public IReadOnlyCollection<LoadedCall> Calls => _calls;

    /// <summary>The upstream side: a paced response, whole or cut.</summary>
    public static async Task AnswerAsync(HttpContext context, JsonElement request)
    {
        var seed = request.GetProperty("seed").GetInt64();
        var pace = TimeSpan.FromMilliseconds(2 + (seed % 7 * 3));
        var stop = context.RequestAborted;
        if (!request.TryGetProperty("stream", out var stream) || !stream.GetBoolean())
        {
            await Task.Delay(pace, TimeProvider.System, stop);
            await Json(context, Completion($"answer {seed}"));
            return;
        }
        await BeginAsync(context);
        await SendAsync(context, Chunk("""{"role":"assistant","content":""}"""));
        for (var i = 0; i < 8; i++)
        {
            await Task.Delay(pace, TimeProvider.System, stop);
            await SendAsync(context, Chunk($$"""{"content":"word {{i}} "}"""));
            if (i == 3 && KindOf(seed) == LoadKind.CutByUpstream)
            {
                Cut(context);
                return;
            }
        }
        await SendAsync(context, Chunk("{}", "stop"), UsageChunk(), "[DONE]");
    }

    /// <summary>Completes when <paramref name="more"/> further calls have finished.</summary>
    public Task FinishedAsync(int more)
    {
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _goal = (Volatile.Read(ref _finished) + more, reached);
        return reached.Task;
    }

    /// <summary>Runs <paramref name="clients"/> at once against a server until it is gone.</summary>
    public Task RunAsync(string address, string key, int clients, CancellationToken stop) =>
        Task.WhenAll(Enumerable.Range(0, clients).Select(_ => Task.Run(() => ClientAsync(address, key, stop), stop)));

    private async Task ClientAsync(string address, string key, CancellationToken stop)
    {
        using var http = new HttpClient { BaseAddress = new Uri(address) };
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
        while (!stop.IsCancellationRequested)
        {
            var seed = Interlocked.Increment(ref _seed);
            var call = await CallAsync(http, seed, stop);
            _calls.Enqueue(call);
            if (Interlocked.Increment(ref _finished) >= _goal.Count) _goal.Reached.TrySetResult();
        }
    }

    private static async Task<LoadedCall> CallAsync(HttpClient http, long seed, CancellationToken stop)
    {
        string? id = null;
        try
        {
            var kind = KindOf(seed);
            var streams = kind is LoadKind.Stream or LoadKind.SimulatedStream or LoadKind.HangUp or LoadKind.CutByUpstream;
            var model = kind is LoadKind.SimulatedSync or LoadKind.SimulatedStream ? "sim-fast" : "m";
            using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions")
            {
                Content = new StringContent($$"""{"model":"{{model}}","seed":{{seed}},"max_tokens":24,"stream":{{(streams ? "true" : "false")}},"messages":[{"role":"user","content":"Call number {{seed}}"}]}""", Encoding.UTF8, "application/json"),
            };
            using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, stop);
            id = response.Headers.TryGetValues("x-request-id", out var ids) ? ids.First() : null;
            if (!response.IsSuccessStatusCode) return new LoadedCall(seed, false, id, null);
            if (kind == LoadKind.HangUp)
            {
                await using var body = await response.Content.ReadAsStreamAsync(stop);
                await body.ReadAtLeastAsync(new byte[64], 64, throwOnEndOfStream: false, stop);
                return new LoadedCall(seed, false, id, null);
            }
            return streams ? Judge(seed, id, await SeenStream.ReadAsync(response, stop)) : Judge(seed, id, await response.Content.ReadAsStringAsync(stop));
        }
        // HttpClient lets a SocketException through when the process dies between the connect and its own look at the address.
        catch (Exception gone) when (gone is HttpRequestException or IOException or OperationCanceledException or SocketException)
        {
            return new LoadedCall(seed, false, id, null);
        }
    }

    private static LoadedCall Judge(long seed, string? id, SeenStream stream)
    {
        var whole = !stream.Broken && stream.Events is [.., { Data: "[DONE]" }];
        return new LoadedCall(seed, whole, id, whole ? stream.Events[^2].Json.GetProperty("fairlead") : null)
        {
            ToldOfTheCut = stream.Raw.EndsWith("\n\n", StringComparison.Ordinal) && stream.Events is [.., { } last] && last.Data.StartsWith("{\"error\"", StringComparison.Ordinal),
        };
    }

    private static LoadedCall Judge(long seed, string? id, string body) =>
        new(seed, true, id, JsonDocument.Parse(body).RootElement.GetProperty("fairlead"));
}
