using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Fairlead.Server.Failover;

/// <summary>
/// All providers of a configuration in one server on loopback. Every request gets the same right text, or the fault that the script says.
/// Thread-safe.
/// </summary>
internal sealed class SimulatedUpstream : IAsyncDisposable
{
    /// <summary>The delay of <see cref="SimulatedFaultKind.SlowFirstToken"/>: half of the time that a provider has for it.</summary>
    public static readonly TimeSpan SlowFirstToken = FailoverConfiguration.MaxTimeouts.FirstToken / 2;

    private readonly WebApplication _app;
    private readonly Func<SimulatedRequest, SimulatedFault> _script;
    private readonly TimeProvider _time;
    private readonly Lock _gate = new();
    private readonly List<(SimulatedRequest Request, SimulatedFault Fault)> _received = [];

    private SimulatedUpstream(WebApplication app, Func<SimulatedRequest, SimulatedFault> script, TimeProvider time)
    {
        _app = app;
        _script = script;
        _time = time;
    }

    /// <summary>Its address.</summary>
    public Uri Address { get; private set; } = null!;

    /// <summary>Requests so far, in the order in which they came.</summary>
    public IReadOnlyList<(SimulatedRequest Request, SimulatedFault Fault)> Received
    {
        get
        {
            lock (_gate) return [.. _received];
        }
    }

    /// <param name="script">Chooses the fault of each request. Called one at a time.</param>
    /// <param name="time">The clock.</param>
    /// <param name="cancellationToken">Stops the start.</param>
    public static async Task<SimulatedUpstream> StartAsync(
        Func<SimulatedRequest, SimulatedFault> script, TimeProvider time, CancellationToken cancellationToken)
    {
        var builder = LoopbackHost.CreateBuilder();
        var upstream = new SimulatedUpstream(builder.Build(), script, time);
        upstream._app.Run(upstream.RespondAsync);
        await upstream._app.StartAsync(cancellationToken);
        upstream.Address = LoopbackHost.AddressOf(upstream._app);
        return upstream;
    }

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync(new CancellationToken(canceled: true));
        await _app.DisposeAsync();
    }

    private async Task RespondAsync(HttpContext context)
    {
        var path = context.Request.Path.Value!;
        var slash = path.IndexOf('/', 1);
        var provider = Uri.UnescapeDataString(slash < 0 ? path[1..] : path[1..slash]);
        if (!HttpMethods.IsPost(context.Request.Method))
        {
            // Lists of models and the like: no request of a client needs them.
            await WriteAsync(context, 404, SimulatedChatApi.ErrorOf("invalid_request_error", "This path is not simulated."));
            return;
        }
        using var document = await JsonDocument.ParseAsync(context.Request.Body, default, context.RequestAborted);
        foreach (var api in SimulatedApi.All)
        {
            if (api.Read(provider, slash < 0 ? "" : path[slash..], document.RootElement) is not { } read) continue;
            var (request, fault) = Receive(read);
            await RespondAsync(context, api, request, fault);
            return;
        }
        // Nothing else is simulated.
        await WriteAsync(context, 404, SimulatedChatApi.ErrorOf("invalid_request_error", "This path is not simulated."));
    }

    private (SimulatedRequest Request, SimulatedFault Fault) Receive(SimulatedRequest read)
    {
        lock (_gate)
        {
            var request = read with
            {
                Number = 1 + _received.Count(entry => entry.Request.Deployment == read.Deployment),
                IsPrimary = _received.Count == 0 || _received[0].Request.Deployment == read.Deployment,
            };
            var fault = _script(request);
            _received.Add((request, fault));
            return (request, fault);
        }
    }

    private async Task RespondAsync(HttpContext context, SimulatedApi api, SimulatedRequest request, SimulatedFault fault)
    {
        switch (fault.Kind)
        {
            case SimulatedFaultKind.Status:
                if (fault.RetryAfter is { } seconds)
                    context.Response.Headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
                var type = fault.Status == 429 ? "rate_limit_exceeded" : "server_error";
                await WriteAsync(context, fault.Status, api.Error(fault.Status, type, "A simulated failure."));
                return;
            case SimulatedFaultKind.Overflow:
                await WriteAsync(context, 400, api.Overflow());
                return;
            case SimulatedFaultKind.ContentRejection:
                // Gemini reports it in a response.
                var rejection = api.ContentRejection();
                if (rejection.ContainsKey("error")) await WriteAsync(context, 400, rejection);
                else await WriteWholeOrEventAsync(context, request, rejection);
                return;
            case SimulatedFaultKind.PrefillRefusal:
                await WriteAsync(context, 400, api.PrefillRefusal());
                return;
            case SimulatedFaultKind.Reset:
                context.Abort();
                return;
            case SimulatedFaultKind.Silence:
                await NeverAsync(context);
                return;
            case SimulatedFaultKind.SlowFirstToken:
                await Task.Delay(SlowFirstToken, _time, context.RequestAborted);
                break;
        }
        var model = fault.Kind == SimulatedFaultKind.WrongModel ? SimulatedText.WrongModel : request.Model;
        if (request.IsStream) await StreamAsync(context, api, request, fault, model);
        else await WriteWholeAsync(context, api, request, fault, model);
    }

    private async Task StreamAsync(HttpContext context, SimulatedApi api, SimulatedRequest request, SimulatedFault fault, string model)
    {
        context.Response.ContentType = "text/event-stream";
        var pieces = SimulatedText.After(request.Prefill);
        foreach (var start in api.Start(model)) await SendAsync(context, start);
        for (var i = 0; i < pieces.Count; i++)
        {
            if (i == pieces.Count / 2)
            {
                switch (fault.Kind)
                {
                    case SimulatedFaultKind.Cut:
                        // A reset destroys what is still on its way.
                        await Task.Delay(TimeSpan.FromMilliseconds(50), _time, context.RequestAborted);
                        context.Abort();
                        return;
                    case SimulatedFaultKind.Stall:
                        await NeverAsync(context);
                        return;
                    case SimulatedFaultKind.Malformed:
                        await SendAsync(context, "data: {\"choices\":[{\"del\n\n");
                        break;
                }
            }
            await SendAsync(context, api.Piece(pieces[i], model));
        }
        if (fault.Kind == SimulatedFaultKind.MissingEnd) return;
        foreach (var end in api.End(string.Concat(pieces), model)) await SendAsync(context, end);
    }

    private async Task WriteWholeAsync(HttpContext context, SimulatedApi api, SimulatedRequest request, SimulatedFault fault, string model)
    {
        var text = string.Concat(SimulatedText.After(request.Prefill));
        var bytes = Encoding.UTF8.GetBytes(api.Document(text, model, fault.Kind != SimulatedFaultKind.MissingEnd).ToJsonString());
        context.Response.ContentType = "application/json";
        if (fault.Kind == SimulatedFaultKind.Malformed)
        {
            await context.Response.Body.WriteAsync(bytes.AsMemory(0, bytes.Length / 2), context.RequestAborted);
            return;
        }
        context.Response.ContentLength = bytes.Length;
        if (fault.Kind is not (SimulatedFaultKind.Cut or SimulatedFaultKind.Stall))
        {
            await context.Response.Body.WriteAsync(bytes, context.RequestAborted);
            return;
        }
        await context.Response.Body.WriteAsync(bytes.AsMemory(0, bytes.Length / 2), context.RequestAborted);
        await context.Response.Body.FlushAsync(context.RequestAborted);
        if (fault.Kind == SimulatedFaultKind.Stall) await NeverAsync(context);
        else context.Abort();
    }

    private static async Task WriteWholeOrEventAsync(HttpContext context, SimulatedRequest request, JsonObject json)
    {
        if (!request.IsStream)
        {
            await WriteAsync(context, 200, json);
            return;
        }
        context.Response.ContentType = "text/event-stream";
        await SendAsync(context, $"data: {json.ToJsonString()}\n\n");
    }

    private static async Task WriteAsync(HttpContext context, int status, JsonObject json)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        await context.Response.WriteAsync(json.ToJsonString(), context.RequestAborted);
    }

    private static async Task SendAsync(HttpContext context, string text)
    {
        await context.Response.WriteAsync(text, context.RequestAborted);
        await context.Response.Body.FlushAsync(context.RequestAborted);
    }

    // Until the gateway gives up.
    private async Task NeverAsync(HttpContext context)
    {
        try
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, _time, context.RequestAborted);
        }
        catch (OperationCanceledException)
        {
            // It did.
        }
    }
}
