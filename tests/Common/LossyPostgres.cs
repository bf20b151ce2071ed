using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Npgsql;

namespace Fairlead.Tests.Common;

/// <summary>
/// A way to a PostgreSQL database that loses responses. Of the statement that a test names the database commits the transaction, and the connection closes before the client hears of it.
/// </summary>
internal sealed class LossyPostgres : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly ConcurrentDictionary<Link, bool> _links = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly string _host;
    private readonly int _port;
    private readonly Task _accepting;
    private ImmutableArray<Loss> _armed = [];
    private volatile bool _isClosed;

    public LossyPostgres(string connectionString)
    {
        var direct = new NpgsqlConnectionStringBuilder(connectionString);
        (_host, _port) = (direct.Host!, direct.Port);
        _listener.Start();
        ConnectionString = new NpgsqlConnectionStringBuilder(connectionString)
        {
            Host = "127.0.0.1",
            Port = ((IPEndPoint)_listener.LocalEndpoint).Port,
            SslMode = SslMode.Disable,
        }.ConnectionString;
        _accepting = AcceptAsync();
    }

    /// <summary>Leads here.</summary>
    public string ConnectionString { get; }

    /// <summary>Loses the response to the commit of the next transaction with <paramref name="statement"/> in it. The result ends when that has happened.</summary>
    /// <param name="statement">A part of its SQL as it is sent, with parameters by number.</param>
    /// <param name="alone">The statement is its own transaction.</param>
    /// <param name="closes">After that nothing gets through until <see cref="Open"/>.</param>
    public Task LoseAsync(string statement, bool alone = false, bool closes = false)
    {
        var tag = alone ? statement.Split(' ')[0] is "INSERT" ? "INSERT 0 1" : statement.Split(' ')[0] : "COMMIT";
        var loss = new Loss(Encoding.UTF8.GetBytes(statement), Encoding.UTF8.GetBytes(tag), closes);
        ImmutableInterlocked.Update(ref _armed, static (armed, one) => armed.Add(one), loss);
        return loss.Happened.Task;
    }

    public void Open() => _isClosed = false;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Dispose();
        Close();
        await _accepting;
        _stop.Dispose();
    }

    private void Close()
    {
        _isClosed = true;
        foreach (var (link, _) in _links) link.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (true)
        {
            TcpClient client;
            try
            {
                client = await _listener.AcceptTcpClientAsync(_stop.Token);
            }
            catch (Exception exception) when (exception is OperationCanceledException or SocketException or ObjectDisposedException)
            {
                return;
            }
            if (_isClosed) client.Dispose();
            else _ = ServeAsync(new Link(client));
        }
    }

    private async Task ServeAsync(Link link)
    {
        _links[link] = true;
        try
        {
            await link.Server.ConnectAsync(_host, _port, _stop.Token);
            await await Task.WhenAny(RequestsAsync(link), ResponsesAsync(link));
        }
        catch (Exception exception) when (exception is IOException or SocketException or ObjectDisposedException or OperationCanceledException or InvalidOperationException)
        {
            // One side has closed.
        }
        finally
        {
            link.Dispose();
            _links.TryRemove(link, out _);
        }
    }

    private async Task RequestsAsync(Link link)
    {
        var (from, to) = (link.Client.GetStream(), link.Server.GetStream());
        var buffer = new byte[64 * 1024];
        byte[] tail = [];
        int read;
        while ((read = await from.ReadAsync(buffer, _stop.Token)) > 0)
        {
            // The text may be split between two reads.
            byte[] seen = [.. tail, .. buffer.AsSpan(0, read)];
            foreach (var loss in _armed)
            {
                if (seen.AsSpan().IndexOf(loss.Statement) >= 0 && loss.TryUse()) link.Loss = loss;
            }
            tail = seen[^Math.Min(seen.Length, 200)..];
            await to.WriteAsync(buffer.AsMemory(0, read), _stop.Token);
        }
    }

    private async Task ResponsesAsync(Link link)
    {
        var (from, to) = (link.Server.GetStream(), link.Client.GetStream());
        var buffer = new byte[64 * 1024];
        var lost = new List<byte>();
        int read;
        while ((read = await from.ReadAsync(buffer, _stop.Token)) > 0)
        {
            if (link.Loss is not { } loss || (lost.Count == 0 && buffer.AsSpan(0, read).IndexOf(loss.Tag) < 0))
            {
                await to.WriteAsync(buffer.AsMemory(0, read), _stop.Token);
                continue;
            }
            lost.AddRange(buffer.AsSpan(0, read));
            var after = lost.ToArray().AsSpan();
            // ReadyForQuery: the transaction is over.
            if (after[after.IndexOf(loss.Tag)..].IndexOf("Z\0\0\0\u0005"u8) < 0) continue;
            if (loss.Closes) Close();
            loss.Happened.TrySetResult();
            return;
        }
    }

    private sealed record Loss(byte[] Statement, byte[] Tag, bool Closes)
    {
        private int _uses;

        public TaskCompletionSource Happened { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public bool TryUse() => Interlocked.Exchange(ref _uses, 1) == 0;
    }

    private sealed class Link(TcpClient client) : IDisposable
    {
        private volatile Loss? _loss;

        public TcpClient Client => client;

        public TcpClient Server { get; } = new();

        public Loss? Loss
        {
            get => _loss;
            set => _loss = value;
        }

        public void Dispose()
        {
            client.Dispose();
            Server.Dispose();
        }
    }
}
