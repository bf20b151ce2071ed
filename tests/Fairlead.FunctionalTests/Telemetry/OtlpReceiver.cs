using System.Buffers.Binary;
using System.Net;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Fairlead.FunctionalTests.Telemetry;

internal sealed record SeenSpan(string Name, long Kind, string TraceId, string SpanId, string ParentId, long Start, long End, long Status, string Scope, Dictionary<string, object?> Attributes);

internal sealed record SeenMetric(string Name, string Unit, string Scope, IReadOnlyList<SeenPoint> Points);

internal sealed record SeenPoint(long Count, double[] Bounds, Dictionary<string, object?> Attributes);

/// <summary>A collector on loopback that takes OTLP as HTTP with protobuf or as gRPC, and shows what came.</summary>
internal sealed class OtlpReceiver : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly Lock _gate = new();
    private readonly List<SeenSpan> _spans = [];
    private readonly Dictionary<string, SeenMetric> _metrics = [];
    private readonly StringBuilder _raw = new();
    private TaskCompletionSource _arrived = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private OtlpReceiver(WebApplication app) => _app = app;

    public string Url { get; private set; } = "";

    /// <summary>service.name and the like, of the last message.</summary>
    public Dictionary<string, object?> Resource { get; private set; } = [];

    public HashSet<string> Paths { get; } = [];

    /// <summary>Everything that came, as far as it is text.</summary>
    public string Raw
    {
        get
        {
            lock (_gate) return _raw.ToString();
        }
    }

    public static async Task<OtlpReceiver> StartAsync(bool grpc)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = grpc ? HttpProtocols.Http2 : HttpProtocols.Http1));
        var receiver = new OtlpReceiver(builder.Build());
        receiver._app.Run(receiver.TakeAsync);
        await receiver._app.StartAsync();
        receiver.Url = receiver._app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        return receiver;
    }

    /// <summary>The spans so far, once they are as wanted.</summary>
    public async Task<List<SeenSpan>> SpansAsync(Func<List<SeenSpan>, bool> wanted, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task arrived;
            lock (_gate)
            {
                if (wanted(_spans)) return [.. _spans];
                arrived = _arrived.Task;
            }
            await arrived.WaitAsync(cancellationToken);
        }
    }

    /// <summary>The last state of each metric, once they are as wanted.</summary>
    public async Task<Dictionary<string, SeenMetric>> MetricsAsync(Func<Dictionary<string, SeenMetric>, bool> wanted, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task arrived;
            lock (_gate)
            {
                if (wanted(_metrics)) return new(_metrics);
                arrived = _arrived.Task;
            }
            await arrived.WaitAsync(cancellationToken);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync(new CancellationToken(canceled: true));
        await _app.DisposeAsync();
    }

    private async Task TakeAsync(HttpContext context)
    {
        using var whole = new MemoryStream();
        await context.Request.Body.CopyToAsync(whole, context.RequestAborted);
        ReadOnlyMemory<byte> body = whole.ToArray();
        var grpc = context.Request.ContentType?.StartsWith("application/grpc", StringComparison.Ordinal) == true;
        if (grpc)
        {
            // One uncompressed message behind five bytes.
            Assert.Equal(0, body.Span[0]);
            body = body.Slice(5, (int)BinaryPrimitives.ReadUInt32BigEndian(body.Span[1..]));
        }
        lock (_gate)
        {
            Paths.Add(context.Request.Path);
            _raw.Append(Encoding.Latin1.GetString(body.Span));
            var message = new OtlpMessage(body);
            if (context.Request.Path.Value!.Contains("trace", StringComparison.OrdinalIgnoreCase)) TakeSpans(message);
            else TakeMetrics(message);
            var arrived = _arrived;
            _arrived = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            arrived.SetResult();
        }
        if (grpc)
        {
            context.Response.ContentType = "application/grpc";
            await context.Response.Body.WriteAsync(new byte[5], context.RequestAborted);
            context.Response.AppendTrailer("grpc-status", "0");
        }
        else
        {
            context.Response.ContentType = "application/x-protobuf";
        }
    }

    private void TakeSpans(OtlpMessage request)
    {
        foreach (var resource in request.Messages(1))
        {
            Resource = resource.Message(1)!.Value.Attributes(1);
            foreach (var scope in resource.Messages(2))
            {
                var name = scope.Message(1)?.Text(1) ?? "";
                foreach (var span in scope.Messages(2))
                {
                    _spans.Add(new SeenSpan(span.Text(5), span.Number(6), span.Hex(1), span.Hex(2), span.Hex(4), span.Number(7), span.Number(8), span.Message(15)?.Number(3) ?? 0, name, span.Attributes(9)));
                }
            }
        }
    }

    private void TakeMetrics(OtlpMessage request)
    {
        foreach (var resource in request.Messages(1))
        {
            Resource = resource.Message(1)!.Value.Attributes(1);
            foreach (var scope in resource.Messages(2))
            {
                var name = scope.Message(1)?.Text(1) ?? "";
                foreach (var metric in scope.Messages(2))
                {
                    var points = metric.Message(9) is { } histogram
                        ? histogram.Messages(1).Select(point => new SeenPoint(point.Number(4), point.Doubles(7), point.Attributes(9))).ToList()
                        : [];
                    _metrics[metric.Text(1)] = new SeenMetric(metric.Text(1), metric.Text(3), name, points);
                }
            }
        }
    }
}
