using System.Buffers;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using HdrHistogram;

namespace Fairlead.Benchmarks;

/// <summary>The result of a round of load.</summary>
internal sealed record LoadResult(long Calls, long Errors, TimeSpan Elapsed, LongHistogram Microseconds)
{
    public double PerSecond => Calls / Elapsed.TotalSeconds;
}

/// <summary>Sends load over plain sockets, because an HTTP client would cost more than what is measured.</summary>
internal static class Load
{
    /// <summary>Sends one call after another on each of <paramref name="connections"/>, for a limited time.</summary>
    public static Task<LoadResult> CallsAsync(string url, string? key, string body, int connections, TimeSpan duration) =>
        CallsAsync(url, [key], body, connections, duration);

    /// <summary>As the other overload; the calls use the keys in turn.</summary>
    public static async Task<LoadResult> CallsAsync(string url, IReadOnlyList<string?> keys, string body, int connections, TimeSpan duration)
    {
        var uri = new Uri(url);
        var requests = keys.Select(key => Request(uri, key, body)).ToArray();
        var next = -1;
        var results = new LongHistogram(60_000_000, 3);
        long calls = 0, errors = 0;
        var watch = Stopwatch.StartNew();
        await Task.WhenAll(Enumerable.Range(0, connections).Select(_ => Task.Run(async () =>
        {
            using var socket = await ConnectAsync(uri);
            var buffer = new byte[16 * 1024];
            var own = new LongHistogram(60_000_000, 3);
            long good = 0, bad = 0;
            while (watch.Elapsed < duration)
            {
                var started = Stopwatch.GetTimestamp();
                await socket.SendAsync(requests.Length == 1 ? requests[0] : requests[(uint)Interlocked.Increment(ref next) % requests.Length]);
                if (await ReadResponseAsync(socket, buffer)) good++;
                else bad++;
                own.RecordValue(Math.Min(59_000_000, (long)Stopwatch.GetElapsedTime(started).TotalMicroseconds));
            }
            lock (results)
            {
                results.Add(own);
                calls += good;
                errors += bad;
            }
        })));
        return new LoadResult(calls, errors, watch.Elapsed, results);
    }

    /// <summary>
    /// Opens <paramref name="count"/> streams within a second and reads each to its end; the histogram holds times to the first content.
    /// </summary>
    public static async Task<LoadResult> StreamsAsync(string url, string? key, string body, int count, Func<Task>? midway = null,
        double midwayAfter = 2.5)
    {
        var uri = new Uri(url);
        var request = Request(uri, key, body);
        var firstContent = new LongHistogram(60_000_000, 3);
        long good = 0, bad = 0;
        var watch = Stopwatch.StartNew();
        var streams = Enumerable.Range(0, count).Select(async i =>
        {
            await Task.Delay(TimeSpan.FromMilliseconds(1000.0 * i / count), TimeProvider.System, CancellationToken.None);
            try
            {
                using var socket = await ConnectAsync(uri);
                var buffer = ArrayPool<byte>.Shared.Rent(4096);
                var started = Stopwatch.GetTimestamp();
                await socket.SendAsync(request);
                long first = -1;
                var tail = "";
                while (true)
                {
                    var read = await socket.ReceiveAsync(buffer);
                    if (read == 0) break;
                    var text = tail + Encoding.ASCII.GetString(buffer, 0, read);
                    if (first < 0 && text.Contains("\" token\"", StringComparison.Ordinal))
                        first = (long)Stopwatch.GetElapsedTime(started).TotalMicroseconds;
                    if (text.Contains("[DONE]", StringComparison.Ordinal))
                    {
                        Interlocked.Increment(ref good);
                        lock (firstContent) firstContent.RecordValue(Math.Max(1, first));
                        return;
                    }
                    tail = text.Length > 256 ? text[^256..] : text;
                }
                Interlocked.Increment(ref bad);
            }
            catch (SocketException)
            {
                Interlocked.Increment(ref bad);
            }
        }).ToList();
        if (midway is not null)
        {
            await Task.Delay(TimeSpan.FromSeconds(midwayAfter), TimeProvider.System, CancellationToken.None);
            await midway();
        }
        await Task.WhenAll(streams);
        return new LoadResult(good, bad, watch.Elapsed, firstContent);
    }

    private static byte[] Request(Uri uri, string? key, string body)
    {
        var authorization = key is null ? "" : $"Authorization: Bearer {key}\r\n";
        return Encoding.UTF8.GetBytes(
            $"POST {uri.PathAndQuery} HTTP/1.1\r\nHost: {uri.Authority}\r\n{authorization}"
            + $"Content-Type: application/json\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\n\r\n{body}");
    }

    private static async Task<Socket> ConnectAsync(Uri uri)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(IPAddress.Loopback, uri.Port);
        return socket;
    }

    private static async Task<bool> ReadResponseAsync(Socket socket, byte[] buffer)
    {
        var have = 0;
        while (true)
        {
            var read = await socket.ReceiveAsync(buffer.AsMemory(have));
            if (read == 0) return false;
            have += read;
            var head = buffer.AsSpan(0, have).IndexOf("\r\n\r\n"u8);
            if (head < 0) continue;
            var ok = buffer.AsSpan(0, have).StartsWith("HTTP/1.1 200"u8);
            var lengthAt = buffer.AsSpan(0, head).IndexOf("Content-Length: "u8);
            if (lengthAt < 0)
            {
                // Chunked (YARP relays the length, so this is an unexpected response): read to the last chunk.
                while (!buffer.AsSpan(0, have).EndsWith("0\r\n\r\n"u8))
                {
                    read = await socket.ReceiveAsync(buffer.AsMemory(have));
                    if (read == 0) return false;
                    have += read;
                }
                return ok;
            }
            if (!System.Buffers.Text.Utf8Parser.TryParse(buffer.AsSpan(lengthAt + 16), out int length, out _)) return false;
            var total = head + 4 + length;
            while (have < total)
            {
                read = await socket.ReceiveAsync(buffer.AsMemory(have));
                if (read == 0) return false;
                have += read;
            }
            return ok;
        }
    }
}
