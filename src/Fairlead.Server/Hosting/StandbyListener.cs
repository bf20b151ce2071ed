using System.Net.Sockets;
using System.Text;
using Fairlead.Storage;

namespace Fairlead.Server.Hosting;

/// <summary>
/// Listens while the previous process finishes its calls: <c>/livez</c> reports that this process is alive, every other address that it is
/// not ready. While the address is in use, it retries.
/// </summary>
internal sealed class StandbyListener(Func<WebApplicationBuilder> builder, TimeProvider time, CancellationToken cancellationToken)
    : IAsyncDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(200);

    private readonly CancellationTokenSource _stopping = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
    private readonly CancellationTokenSource _closing = new();
    private Task _listening = Task.CompletedTask;
    private bool _isOpen;

    /// <summary>Fires when the process is asked to stop while it waits.</summary>
    public CancellationToken Stopping => _stopping.Token;

    /// <summary>Prints which process holds the data folder, and starts to listen when that process drains.</summary>
    public void Wait(DataFolderHolder holder)
    {
        Console.Error.WriteLine($"Waiting for the data folder, which is in use by {holder}.");
        if (_isOpen || holder.State != DataFolderHolder.Draining) return;
        _isOpen = true;
        _listening = ListenAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        await _listening;
        _closing.Dispose();
        _stopping.Dispose();
    }

    private async Task ListenAsync()
    {
        while (!_closing.IsCancellationRequested)
        {
            await using var app = Build();
            try
            {
                await app.StartAsync(_closing.Token);
            }
            catch (OperationCanceledException) when (_closing.IsCancellationRequested)
            {
                return;
            }
            catch (Exception failure) when (failure is IOException or SocketException)
            {
                await Task.Delay(Pause, time, _closing.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                continue;
            }
            using var stopping = app.Lifetime.ApplicationStopping.Register(() => _stopping.Cancel());
            await Task.Delay(Timeout.InfiniteTimeSpan, time, _closing.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            stopping.Dispose();
            // Probes take milliseconds; closing a longer connection loses nothing.
            using var limit = new CancellationTokenSource(Pause, time);
            await app.StopAsync(limit.Token);
            return;
        }
    }

    private WebApplication Build()
    {
        var app = builder().Build();
        app.Run(static async context =>
        {
            var isLive = context.Request.Path == "/livez";
            var bytes = Encoding.UTF8.GetBytes(isLive ? "ok\n" : "not ready\n");
            context.Response.StatusCode = isLive ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable;
            context.Response.ContentType = "text/plain; charset=utf-8";
            context.Response.ContentLength = bytes.Length;
            context.Response.Headers.CacheControl = "no-store";
            // So that a connection does not prevent this listener from closing, and its client from reaching the next server.
            context.Response.Headers.Connection = "close";
            if (!isLive) context.Response.Headers.RetryAfter = "1";
            if (!HttpMethods.IsHead(context.Request.Method)) await context.Response.Body.WriteAsync(bytes, context.RequestAborted);
        });
        return app;
    }
}
