using System.Net.Sockets;
using System.Text;

namespace Fairlead.FunctionalTests.Hostile;

/// <summary>A socket to a gateway, for what no HTTP client would send.</summary>
internal sealed class RawConnection : IDisposable
{
    private readonly TcpClient _client = new() { NoDelay = true };
    private NetworkStream _stream = null!;

    public static async Task<RawConnection> OpenAsync(string url, CancellationToken cancellationToken)
    {
        var connection = new RawConnection();
        var address = new Uri(url);
        await connection._client.ConnectAsync(address.Host, address.Port, cancellationToken);
        connection._stream = connection._client.GetStream();
        return connection;
    }

    public async Task SendAsync(string text, CancellationToken cancellationToken) => await _stream.WriteAsync(Encoding.Latin1.GetBytes(text), cancellationToken);

    /// <summary>Says that nothing more will be sent.</summary>
    public void FinishSending() => _client.Client.Shutdown(SocketShutdown.Send);

    /// <summary>All that comes until the server closes; what came before a reset counts. Fails when the server holds the connection for a minute.</summary>
    public Task<string> ReadToEndAsync(CancellationToken cancellationToken) => ReadAsync(static _ => false, cancellationToken);

    /// <summary>What comes up to the end of the first head.</summary>
    public Task<string> ReadHeadAsync(CancellationToken cancellationToken) => ReadAsync(static text => text.Contains("\r\n\r\n", StringComparison.Ordinal), cancellationToken);

    /// <summary>What comes up to the first complete JSON body, or until the server closes.</summary>
    public Task<string> ReadAnswerAsync(CancellationToken cancellationToken) =>
        ReadAsync(static text => text.IndexOf("\r\n\r\n", StringComparison.Ordinal) is var head and > 0 && text.IndexOf("}\r\n", head, StringComparison.Ordinal) > 0, cancellationToken);

    public void Dispose() => _client.Dispose();

    private async Task<string> ReadAsync(Func<string, bool> isEnough, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(TimeSpan.FromSeconds(60));
        var text = new StringBuilder();
        var buffer = new byte[4096];
        try
        {
            while (!isEnough(text.ToString()) && await _stream.ReadAsync(buffer, limit.Token) is var read and > 0) text.Append(Encoding.UTF8.GetString(buffer, 0, read));
        }
        catch (IOException)
        {
            // A reset is an end too.
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            Assert.Fail($"The connection still hangs; so far: {text}");
        }
        return text.ToString();
    }
}
