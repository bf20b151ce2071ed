using System.Text;
using Fairlead.Configuration;
using Fairlead.Providers;
using Fairlead.Providers.Http;
using Fairlead.Providers.OpenAi;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Providers.OpenAi;

/// <summary>A server on loopback that answers as a test says, and remembers what it was sent.</summary>
internal sealed class FakeUpstream : IAsyncDisposable
{
    private readonly WebApplication _app;

    private FakeUpstream(WebApplication app) => _app = app;

    public string BaseUrl => _app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single();

    public List<Received> Requests { get; } = [];

    /// <summary>Set when the gateway's side of a request went away.</summary>
    public TaskCompletionSource Aborted { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public static async Task<FakeUpstream> StartAsync(RequestDelegate answer)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrel(o => o.AddServerHeader = false).UseUrls("http://127.0.0.1:0");
        var app = builder.Build();
        var upstream = new FakeUpstream(app);
        app.Run(async context =>
        {
            context.RequestAborted.Register(() => upstream.Aborted.TrySetResult());
            using var reader = new StreamReader(context.Request.Body);
            var body = await reader.ReadToEndAsync(context.RequestAborted);
            lock (upstream.Requests)
            {
                upstream.Requests.Add(new Received(
                    context.Request.Path + context.Request.QueryString,
                    body,
                    context.Request.Headers.ToDictionary(h => h.Key, h => h.Value.ToString(), StringComparer.OrdinalIgnoreCase),
                    context.Connection.Id));
            }
            await answer(context);
        });
        await app.StartAsync(TestContext.Current.CancellationToken);
        return upstream;
    }

    public static Task<FakeUpstream> AnsweringAsync(int status, string body, string type = "application/json", params (string Name, string Value)[] headers) => StartAsync(async context =>
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = type;
        foreach (var (name, value) in headers) context.Response.Headers[name] = value;
        await context.Response.WriteAsync(body, context.RequestAborted);
    });

    /// <summary>Streams the pieces, each in a flush of its own; "!" resets the connection once all before it was read (a reset destroys what is still on its way), "…" waits until the gateway goes away.</summary>
    public static async Task<FakeUpstream> StreamingAsync(params string[] pieces)
    {
        var seen = new SemaphoreSlim(0);
        var upstream = await StartAsync(context => StreamAsync(context, pieces, seen));
        upstream.Seen = seen;
        return upstream;
    }

    private static async Task StreamAsync(HttpContext context, string[] pieces, SemaphoreSlim seen)
    {
        context.Response.ContentType = "text/event-stream";
        foreach (var piece in pieces)
        {
            if (piece == "!")
            {
                for (var i = 1; i < pieces.Length; i++) await seen.WaitAsync(context.RequestAborted);
                context.Abort();
                return;
            }
            if (piece == "…")
            {
                await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
                return;
            }
            await context.Response.Body.WriteAsync(Encoding.UTF8.GetBytes(piece), context.RequestAborted);
            await context.Response.Body.FlushAsync(context.RequestAborted);
        }
    }

    /// <summary>Released by the test for each event it has read.</summary>
    public SemaphoreSlim? Seen { get; private set; }

    public OpenAiProvider Provider(TimeProvider? time = null, Func<ProviderConfig, ProviderConfig>? change = null)
    {
        var config = new ProviderConfig { Kind = "openai", BaseUrl = BaseUrl + "/v1", ApiKey = "sk-upstream" };
        return new OpenAiProvider("up", change?.Invoke(config) ?? config, Clients(time));
    }

    public static UpstreamClientFactory Clients(TimeProvider? time = null) => new(time ?? TimeProvider.System, NullLoggerFactory.Instance);

    public async ValueTask DisposeAsync()
    {
        using var now = new CancellationTokenSource();
        await now.CancelAsync();
        await _app.StopAsync(now.Token);
        await _app.DisposeAsync();
    }

    internal sealed record Received(string Path, string Body, Dictionary<string, string> Headers, string Connection);
}
