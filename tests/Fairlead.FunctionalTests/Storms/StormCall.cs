using System.Net;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Storms;

/// <summary>When a client of the storm leaves.</summary>
internal enum Leaves
{
    Never,
    BeforeHeaders,
    MidStream,
    AtSomeMoment,
}

/// <summary>One call of the storm: what its client does, what its upstream will do to it, and what the client saw.</summary>
internal sealed class StormCall
{
    private static readonly (string Path, string Model, string Input)[] Doors =
    [
        ("/v1/chat/completions", "m", "\"messages\":[{\"role\":\"user\",\"content\":\"storm {0} call\"}]"),
        ("/v1/chat/completions", "two", "\"messages\":[{\"role\":\"user\",\"content\":\"storm {0} call\"}]"),
        ("/v1/completions", "m", "\"prompt\":\"storm {0} call\""),
        ("/v1/embeddings", "e", "\"input\":\"storm {0} call\""),
        ("/v1/messages", "two", "\"max_tokens\":50,\"messages\":[{\"role\":\"user\",\"content\":\"storm {0} call\"}]"),
        ("/v1/responses", "plain", "\"input\":\"storm {0} call\""),
        ("/v1/responses", "sim-fast", "\"max_output_tokens\":16,\"input\":\"storm {0} call\""),
        ("/v1/chat/completions", "sim-fast", "\"max_tokens\":12,\"messages\":[{\"role\":\"user\",\"content\":\"storm {0} call\"}]"),
        ("/v1/messages", "sim-fast", "\"max_tokens\":12,\"messages\":[{\"role\":\"user\",\"content\":\"storm {0} call\"}]"),
    ];

    private static readonly string[] Simulations = ["", "status=429", "status=500; fail_first=1", "cut_after=4", "stall_after=4", "malformed_at=3", "no_done", "reset", "tps=200"];

    private readonly string _body;
    private readonly string? _simulate;

    public StormCall(int number, Random chance)
    {
        Number = number;
        var (path, model, input) = Doors[chance.Next(Doors.Length)];
        Path = path;
        Stream = path != "/v1/embeddings" && chance.Next(3) > 0;
        Leaves = chance.Next(10) switch { 0 => Leaves.BeforeHeaders, 1 => Stream ? Leaves.MidStream : Leaves.BeforeHeaders, 2 => Leaves.AtSomeMoment, _ => Leaves.Never };
        LeavesAfter = TimeSpan.FromMilliseconds(chance.NextDouble() * 60);
        var kinds = Enum.GetValues<Weather>();
        Plan = [.. Enumerable.Range(0, 4).Select(_ => chance.Next(3) == 0 ? Weather.Fair : kinds[chance.Next(kinds.Length)])];
        if (model.StartsWith("sim", StringComparison.Ordinal)) _simulate = Simulations[chance.Next(Simulations.Length)];
        var goesOn = chance.Next(6) == 0 && path != "/v1/embeddings" ? ",\"fairlead\":{\"on_disconnect\":\"continue\"}" : "";
        var stream = path == "/v1/embeddings" ? "" : $",\"stream\":{(Stream ? "true" : "false")}";
        _body = $"{{\"model\":\"{model}\",{input.Replace("{0}", number.ToString(System.Globalization.CultureInfo.InvariantCulture), StringComparison.Ordinal)}{stream}{goesOn}}}";
    }

    public int Number { get; }

    public string Path { get; }

    public bool Stream { get; }

    public Leaves Leaves { get; }

    public TimeSpan LeavesAfter { get; }

    public IReadOnlyList<Weather> Plan { get; }

    /// <summary>Set when the upstream has the first attempt.</summary>
    public TaskCompletionSource Reached { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public string? RequestId { get; private set; }

    /// <summary>The final <c>fairlead</c> object of a response that the client may treat as complete.</summary>
    public JsonElement? Whole { get; private set; }

    /// <summary>What was wrong with what the client saw, or null.</summary>
    public string? Complaint { get; private set; }

    /// <summary>Whether the connection broke before any end was seen: the client knows that it has not the whole, though not why.</summary>
    public bool Broke { get; private set; }

    public async Task RunAsync(HttpClient client, CancellationToken cancellationToken)
    {
        using var leave = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var request = new HttpRequestMessage(HttpMethod.Post, Path) { Content = new StringContent(_body, Encoding.UTF8, "application/json") };
        if (_simulate is { Length: > 0 }) request.Headers.Add("Fairlead-Simulate", _simulate);
        if (_simulate is not null) request.Headers.Add("Fairlead-Deadline-Ms", "1500");
        if (Leaves == Leaves.AtSomeMoment || (Leaves == Leaves.BeforeHeaders && _simulate is not null)) leave.CancelAfter(LeavesAfter);
        try
        {
            var sending = client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, leave.Token);
            if (Leaves == Leaves.BeforeHeaders && _simulate is null)
            {
                await Task.WhenAny(Reached.Task, sending);
                await leave.CancelAsync();
            }
            using var response = await sending;
            RequestId = response.Headers.GetValues("x-request-id").Single();
            if (Leaves == Leaves.MidStream && response.StatusCode == HttpStatusCode.OK)
            {
                await using var body = await response.Content.ReadAsStreamAsync(leave.Token);
                await body.ReadAtLeastAsync(new byte[16], 16, throwOnEndOfStream: false, leave.Token);
                return;
            }
            if (response.StatusCode != HttpStatusCode.OK) await JudgeErrorAsync(response, leave.Token);
            else if (Stream) Judge(await SeenStream.ReadAsync(response, leave.Token));
            else Judge(await response.Content.ReadAsStringAsync(leave.Token));
        }
        catch (Exception gone) when (gone is HttpRequestException or IOException || (gone is OperationCanceledException && leave.IsCancellationRequested))
        {
            if (leave.IsCancellationRequested) return;
            // Only a stream may break off, and it says why before that where there is time.
            if (Stream) Broke = true;
            else Complaint = gone.ToString();
        }
    }

    public override string ToString() => $"call {Number} ({Path} {_body}; {_simulate}; leaves {Leaves}; upstream {string.Join(", ", Plan)})";

    private async Task JudgeErrorAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        var text = await response.Content.ReadAsStringAsync(cancellationToken);
        // 500 alone says nothing: it is what provider_error is called in Anthropic's dialect.
        if (text.Contains("internal_error", StringComparison.Ordinal) || !text.Contains("\"error\"", StringComparison.Ordinal)) Complaint = $"{(int)response.StatusCode} {text}";
    }

    private void Judge(string body)
    {
        var root = JsonDocument.Parse(body).RootElement;
        if (root.TryGetProperty("fairlead", out var end)) Whole = end;
        else Complaint = "no fairlead object: " + body;
    }

    private void Judge(SeenStream stream)
    {
        var ended = stream.Events.Count > 0 && Path switch
        {
            "/v1/messages" => stream.Events[^1].Name == "message_stop",
            "/v1/responses" => stream.Events is [.., { Name: "response.completed" or "response.incomplete" }, { Data: "[DONE]" }],
            _ => stream.Events[^1].Data == "[DONE]",
        };
        var failed = stream.Events.Any(one => one.Name is "error" or "response.failed" || one.Data.StartsWith("{\"error\"", StringComparison.Ordinal));
        if (!ended && !failed && stream.Broken) Broke = true;
        else if (ended == failed || (ended && stream.Broken)) Complaint = "no explicit end: " + stream.Raw;
        if (!ended) return;
        for (var i = stream.Events.Count - 1; i >= 0 && Whole is null; i--)
        {
            if (!stream.Events[i].Data.StartsWith('{')) continue;
            var holder = stream.Events[i].Json;
            if (Path == "/v1/responses" && !holder.TryGetProperty("response", out holder)) continue;
            if (holder.TryGetProperty("fairlead", out var end) && end.TryGetProperty("outcome", out _)) Whole = end;
        }
        if (Whole is null) Complaint = "no final fairlead object: " + stream.Raw;
    }
}
