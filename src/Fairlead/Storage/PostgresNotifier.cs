using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using Npgsql;
using NpgsqlTypes;

namespace Fairlead.Storage;

/// <summary>
/// Notices by NOTIFY, all on one channel of the database. A separate connection listens from the first subscription on and reconnects by
/// itself. Notices are sent in batches, each subject once, after the transaction of the change: NOTIFY inside a transaction makes all
/// commits of the database wait for one another. Thread-safe.
/// </summary>
internal sealed class PostgresNotifier : IDatabaseNotifier, IAsyncDisposable
{
    private const string PostgresChannel = "fairlead";

    /// <summary>Notices kept while the database is unavailable. Further ones are dropped, because they are only hints.</summary>
    private const int MaxWaiting = 10_000;

    private static readonly TimeSpan MinPause = TimeSpan.FromMilliseconds(250);

    private static readonly TimeSpan MaxPause = TimeSpan.FromSeconds(5);

    private readonly NpgsqlDataSource _source;
    private readonly string _listenString;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly LocalNotifier _local = new();
    private readonly string _origin = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(6));
    private readonly CancellationTokenSource _end = new();
    private readonly Lock _gate = new();
    private readonly SemaphoreSlim _arrived = new(0);
    private HashSet<string> _waiting = new(StringComparer.Ordinal);
    private Task? _listening;
    private Task? _sending;

    public PostgresNotifier(NpgsqlDataSource source, string connectionString, TimeProvider time, ILogger logger)
    {
        _source = source;
        _time = time;
        _logger = logger;
        // Idle for hours, so it must detect a lost connection by itself.
        var keywords = new NpgsqlConnectionStringBuilder(connectionString) { Pooling = false, KeepAlive = 15, Multiplexing = false };
        _listenString = keywords.ConnectionString;
    }

    public void Announce(string channel, string subject)
    {
        _local.Notify(channel, subject);
        lock (_gate)
        {
            if (_end.IsCancellationRequested || _waiting.Count >= MaxWaiting) return;
            if (!_waiting.Add($"{_origin} {channel} {subject}")) return;
            if (_waiting.Count == 1) _arrived.Release();
            _sending ??= Task.Run(SendAsync);
        }
    }

    public IDisposable Subscribe(string channel, Action<string?> received)
    {
        var subscription = _local.Subscribe(channel, received);
        lock (_gate)
        {
            if (!_end.IsCancellationRequested) _listening ??= Task.Run(ListenAsync);
        }
        return subscription;
    }

    public async ValueTask DisposeAsync()
    {
        Task[] running;
        lock (_gate)
        {
            if (_end.IsCancellationRequested) return;
            _end.Cancel();
            running = [_listening ?? Task.CompletedTask, _sending ?? Task.CompletedTask];
        }
        await Task.WhenAll(running);
        _end.Dispose();
        _arrived.Dispose();
    }

    private async Task ListenAsync()
    {
        var pause = TimeSpan.Zero;
        while (!_end.IsCancellationRequested)
        {
            try
            {
                await using var connection = new NpgsqlConnection(_listenString);
                connection.Notification += (_, notice) => Receive(notice.Payload);
                await connection.OpenAsync(_end.Token);
                await using (var listen = connection.CreateCommand())
                {
                    listen.CommandText = "LISTEN " + PostgresChannel;
                    await listen.ExecuteNonQueryAsync(_end.Token);
                }
                if (pause > TimeSpan.Zero) _logger.NotificationsAvailable();
                pause = TimeSpan.Zero;
                // Earlier notices were missed.
                _local.NotifyAll();
                while (true) await connection.WaitAsync(_end.Token);
            }
            catch (Exception) when (_end.IsCancellationRequested)
            {
                return;
            }
            catch (Exception fault)
            {
                if (pause == TimeSpan.Zero) _logger.NotificationsUnavailable(StorageErrors.Describe(fault));
                pause = Longer(pause);
            }
            await PauseAsync(pause);
        }
    }

    private async Task SendAsync()
    {
        var pause = TimeSpan.Zero;
        while (!_end.IsCancellationRequested)
        {
            HashSet<string> batch;
            try
            {
                await _arrived.WaitAsync(_end.Token);
                lock (_gate) (batch, _waiting) = (_waiting, new HashSet<string>(StringComparer.Ordinal));
                await using var command = _source.CreateCommand(
                    "SELECT count(pg_notify(@channel, payload)) FROM unnest(@payloads) AS payload");
                var payloads = new NpgsqlParameter("payloads", NpgsqlDbType.Array | NpgsqlDbType.Text) { Value = batch.ToArray() };
                command.Parameters.Add(new NpgsqlParameter("channel", PostgresChannel));
                command.Parameters.Add(payloads);
                await command.ExecuteNonQueryAsync(_end.Token);
                pause = TimeSpan.Zero;
                continue;
            }
            catch (Exception) when (_end.IsCancellationRequested)
            {
                return;
            }
            catch (Exception fault)
            {
                // The batch is lost. Subscribers find the changes when they poll.
                if (pause == TimeSpan.Zero) _logger.NotificationsNotSent(StorageErrors.Describe(fault));
                pause = Longer(pause);
            }
            await PauseAsync(pause);
        }
    }

    private void Receive(string payload)
    {
        // origin, channel, subject
        var first = payload.IndexOf(' ', StringComparison.Ordinal);
        var second = first < 0 ? -1 : payload.IndexOf(' ', first + 1);
        if (second < 0 || payload.AsSpan(0, first).SequenceEqual(_origin)) return;
        _local.Notify(payload[(first + 1)..second], payload[(second + 1)..]);
    }

    private static TimeSpan Longer(TimeSpan pause) =>
        pause == TimeSpan.Zero ? MinPause : TimeSpan.FromTicks(Math.Min(pause.Ticks * 2, MaxPause.Ticks));

    private async Task PauseAsync(TimeSpan pause)
    {
        try
        {
            await Task.Delay(pause, _time, _end.Token);
        }
        catch (OperationCanceledException)
        {
            // Disposed; the loop ends.
        }
    }
}
