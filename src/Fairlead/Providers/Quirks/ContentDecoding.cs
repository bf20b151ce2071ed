using System.IO.Compression;
using Fairlead.Providers.Http;

namespace Fairlead.Providers.Quirks;

/// <summary>
/// Decodes bodies that a provider compressed although <c>identity</c> was requested. The bytes decide, not the label: bodies without a
/// label, with a wrong one, and compressed twice are read too. The decoded size is limited.
/// </summary>
internal static class ContentDecoding
{
    /// <summary>Maximum decoded size of one body; a small body that becomes larger is an attack or a defect.</summary>
    public const int MaxDecodedBytes = Http.UpstreamClient.MaxResponseBytes;

    private const int MaxLayers = 4;

    /// <summary>Whether bytes start like gzip or zlib: neither JSON nor events do.</summary>
    public static bool IsCompressed(ReadOnlySpan<byte> start) => IsGzip(start) || IsZlib(start);

    /// <summary>Whether the second byte is needed to decide.</summary>
    public static bool MayBeCompressed(byte first) => first is 0x1F or 0x78;

    private static bool IsGzip(ReadOnlySpan<byte> start) => start.Length >= 2 && start[0] == 0x1F && start[1] == 0x8B;

    private static bool IsZlib(ReadOnlySpan<byte> start) =>
        start.Length >= 2 && start[0] == 0x78 && start[1] is 0x01 or 0x5E or 0x9C or 0xDA;

    /// <summary>The body of a response before compression; the same stream if it has no label.</summary>
    /// <exception cref="IOException">An unknown encoding.</exception>
    public static async ValueTask<Stream> OpenAsync(HttpContent content, CancellationToken cancellationToken)
    {
        var stream = await content.ReadAsStreamAsync(cancellationToken);
        return content.Headers.ContentEncoding.Count == 0
            ? stream
            : await OpenAsync(stream, [.. content.Headers.ContentEncoding], cancellationToken);
    }

    /// <param name="stream">The body as received.</param>
    /// <param name="labels">Its encodings in the order in which they were applied.</param>
    /// <param name="cancellationToken">Cancels reading the first bytes.</param>
    /// <exception cref="IOException">An unknown encoding.</exception>
    public static async ValueTask<Stream> OpenAsync(Stream stream, IReadOnlyList<string> labels, CancellationToken cancellationToken)
    {
        var layers = 0;
        for (var i = labels.Count - 1; i >= 0 || layers > 0; i--)
        {
            var label = i >= 0 ? labels[i].Trim().ToUpperInvariant() : "";
            if (i >= 0 && label is "" or "IDENTITY") continue;
            var peeked = await PeekAsync(stream, cancellationToken);
            stream = peeked;
            var decoded = Decode(peeked, label, i >= 0);
            if (decoded is null)
            {
                if (i >= 0) continue;
                break;
            }
            if (++layers > MaxLayers) throw new IOException("The response is compressed too often.");
            stream = decoded;
        }
        return layers == 0 ? stream : new DecodedStream(stream);
    }

    /// <summary>The same for a body without a label whose start looks compressed.</summary>
    public static ValueTask<Stream> OpenUnlabelledAsync(Stream stream, CancellationToken cancellationToken) =>
        OpenAsync(stream, ["gzip"], cancellationToken);

    private static Stream? Decode(PeekedStream stream, string label, bool isLabelled)
    {
        var start = stream.Start;
        if (IsGzip(start)) return new GZipStream(stream, CompressionMode.Decompress);
        if (IsZlib(start)) return new ZLibStream(stream, CompressionMode.Decompress);
        if (!isLabelled || start.IsEmpty) return null;
        switch (label)
        {
            case "GZIP" or "X-GZIP":
                // The label is wrong.
                return null;
            case "DEFLATE":
                if (start.Length >= 2 && (start[0] & 0x0F) == 8 && ((start[0] << 8) | start[1]) % 31 == 0)
                {
                    return new ZLibStream(stream, CompressionMode.Decompress);
                }
                return IsPlain(start) ? null : new DeflateStream(stream, CompressionMode.Decompress);
            case "BR":
                return IsPlain(start) ? null : new BrotliStream(stream, CompressionMode.Decompress);
            default:
                return IsPlain(start) ? null : throw new IOException("The response has an unknown content encoding.");
        }
    }

    // The first two bytes of JSON, of events and of HTML.
    private static bool IsPlain(ReadOnlySpan<byte> start) => start.Length < 2
        || (start[0] is (byte)'{' or (byte)'[' && start[1] is (byte)'"' or (byte)' ' or (byte)'\n' or (byte)'\r' or (byte)'\t' or (byte)'{'
            or (byte)'}' or (byte)']')
        || start.StartsWith("da"u8) || start.StartsWith("ev"u8) || start.StartsWith("id"u8) || start.StartsWith(": "u8)
        || start.StartsWith("<!"u8) || start.StartsWith("<h"u8);

    private static async ValueTask<PeekedStream> PeekAsync(Stream stream, CancellationToken cancellationToken)
    {
        var start = new byte[2];
        int length;
        try
        {
            length = await stream.ReadAtLeastAsync(start, start.Length, throwOnEndOfStream: false, cancellationToken);
        }
        catch (Exception exception) when (exception is InvalidDataException or InvalidOperationException)
        {
            throw new IOException("The compressed response is damaged.", exception);
        }
        return new PeekedStream(start, length, stream);
    }

    private abstract class ReadStream : Stream
    {
        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) =>
            throw new NotSupportedException("Bodies of providers are read without blocking.");

        public abstract override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default);

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }

    /// <summary>A stream whose first bytes were already read.</summary>
    private sealed class PeekedStream(byte[] start, int length, Stream inner) : ReadStream
    {
        private int _given;

        public ReadOnlySpan<byte> Start => start.AsSpan(0, length);

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            if (_given == length || buffer.IsEmpty) return inner.ReadAsync(buffer, cancellationToken);
            var count = Math.Min(length - _given, buffer.Length);
            start.AsMemory(_given, count).CopyTo(buffer);
            _given += count;
            return ValueTask.FromResult(count);
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing) inner.Dispose();
            base.Dispose(disposing);
        }
    }

    /// <summary>Counts decoded bytes and reports damage like any other broken connection.</summary>
    private sealed class DecodedStream(Stream inner) : ReadStream
    {
        private long _decoded;

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            int read;
            try
            {
                read = await inner.ReadAsync(buffer, cancellationToken);
            }
            catch (Exception exception) when (exception is InvalidDataException or InvalidOperationException)
            {
                throw new IOException("The compressed response is damaged.", exception);
            }
            _decoded += read;
            return _decoded <= MaxDecodedBytes ? read : throw new IOException("The decoded response is too large.");
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing) inner.Dispose();
            base.Dispose(disposing);
        }
    }
}
