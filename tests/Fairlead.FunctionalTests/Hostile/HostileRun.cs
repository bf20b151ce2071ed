using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Errors;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Hostile;

/// <summary>Sends invalid bodies, many at once, and checks every response.</summary>
internal sealed class HostileRun(HostileGateway world)
{
    /// <summary>Rounds of random errors. The long run has ten.</summary>
    public static readonly bool IsFull = Environment.GetEnvironmentVariable("FAIRLEAD_TEST_FULL") == "1";

    private const int AtOnce = 16;

    /// <summary>Longest time for one response, including delays of a busy machine. A call normally ends within milliseconds.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    public ConcurrentQueue<string> Faults { get; } = new();

    public ConcurrentDictionary<int, int> Statuses { get; } = new();

    public Task SendAsync(HostileDoor door, IEnumerable<Mutation> mutations, CancellationToken cancellationToken) =>
        Parallel.ForEachAsync(mutations, new ParallelOptions { MaxDegreeOfParallelism = AtOnce, CancellationToken = cancellationToken }, async (mutation, cancel) =>
        {
            if (Faults.Count >= 20) return;
            if (await FaultAsync(door, mutation, cancel) is { } fault) Faults.Enqueue($"{door}, {mutation}: {fault}");
        });

    public void Verify(string how) => Assert.True(Faults.IsEmpty, $"{how}\n{string.Join("\n", Faults.Take(20).Select(fault => fault.Length > 700 ? fault[..700] : fault))}");

    private async Task<string?> FaultAsync(HostileDoor door, Mutation mutation, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(Patience);
        try
        {
            using var content = new ByteArrayContent(mutation.Body);
            content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
            using var request = new HttpRequestMessage(HttpMethod.Post, door.Address(world)) { Content = content };
            if (door.Shape == ErrorShape.Anthropic) request.Headers.Add("anthropic-version", "2023-06-01");
            var client = door.IsAdmin ? world.Gateway.Admin : world.Gateway.Client;
            using var response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, limit.Token);
            Statuses.AddOrUpdate((int)response.StatusCode, 1, (_, count) => count + 1);
            if (response.StatusCode == HttpStatusCode.GatewayTimeout && SetsDeadline(mutation)) return Judgement.OfDeadline(await response.Content.ReadAsStringAsync(limit.Token), door.Errors);
            if (!response.IsSuccessStatusCode) return Judgement.OfRefusal(world, response, await response.Content.ReadAsStringAsync(limit.Token), door.Shape, door.Errors);
            var stream = await SeenStream.ReadAsync(response, limit.Token);
            if (stream.Broken) return "The answer broke off.";
            if (!mutation.IsJson) return $"{(int)response.StatusCode} for what is no JSON.";
            var body = JsonNode.Parse(mutation.Body, documentOptions: new() { MaxDepth = 10_000, AllowDuplicateProperties = true });
            return Held(door, body) is { Count: > 0 } faults ? $"{(int)response.StatusCode} though {string.Join(", ", faults)}" : null;
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException)
        {
            return $"No answer: {exception.Message} {exception.InnerException?.Message}";
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return $"No answer within {Patience}.";
        }
    }

    // A deadline of a millisecond is valid, and passes.
    private static bool SetsDeadline(Mutation mutation) =>
        mutation.IsJson && JsonNode.Parse(mutation.Body, documentOptions: new() { MaxDepth = 10_000, AllowDuplicateProperties = true }) is JsonObject body
        && ((body["fairlead"] as JsonObject)?["deadline_ms"] ?? body["deadline_ms"]) is JsonValue deadline
        && deadline.GetValueKind() == JsonValueKind.Number && double.Parse(deadline.ToJsonString(), CultureInfo.InvariantCulture) < 60_000;

    private static IReadOnlyList<string> Held(HostileDoor door, JsonNode? body)
    {
        try
        {
            if (door.Requests.Faults(body) is { Count: 0 } none) return none;
            LenientRequest.Apply(door, body);
            return door.Requests.Faults(body);
        }
        catch (ArgumentException)
        {
            // The body has a duplicate name. The schema cannot decide which one counts.
            return [];
        }
    }
}
