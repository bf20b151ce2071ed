using System.Text.Json;
using System.Text.Json.Serialization;
using Fairlead.Configuration;

namespace Fairlead.Storage;

/// <summary>The process that holds a data folder, as in the lock file.</summary>
/// <param name="Process">Its id on its host.</param>
/// <param name="Host">Name of its machine or container.</param>
/// <param name="StartedAt">When it locked the folder.</param>
/// <param name="State"><c>running</c> or <c>draining</c>.</param>
internal sealed record DataFolderHolder(int Process, string Host, DateTimeOffset StartedAt, string State)
{
    public const string Running = "running";

    public const string Draining = "draining";

    public override string ToString() => Process == 0
        ? "another process"
        : $"process {Process} on {Host} ({State}, since {StartedAt.UtcDateTime:yyyy-MM-dd HH:mm:ss} UTC)";
}

/// <summary>
/// The lock on the data folder: only one process serves from a folder at a time. The operating system holds the lock on
/// <c>fairlead.lock.held</c> and frees it when the process ends, however it ends. The file <c>fairlead.lock</c> names the holder in plain
/// text. Commands that only read the folder or change rows of the database do not lock it. Thread-safe.
/// </summary>
/// <remarks>Created before everything that writes to the folder, so that the container disposes it last.</remarks>
internal sealed class DataFolderLock : IDisposable
{
    public const string FileName = "fairlead.lock";

    /// <summary>The locked file. It is empty, because on Unix other .NET processes cannot read a locked file.</summary>
    public const string HeldName = "fairlead.lock.held";

    /// <summary>How long a start waits for a running holder; for a draining one, in addition to the drain timeout.</summary>
    public static readonly TimeSpan Grace = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan RetryInterval = TimeSpan.FromMilliseconds(100);

    private readonly IConfigurationSource _configuration;
    private readonly TimeProvider _time;
    private readonly Lock _gate = new();
    private FileStream? _held;
    private DataFolderHolder? _self;

    public DataFolderLock(IConfigurationSource configuration, TimeProvider time)
    {
        _configuration = configuration;
        _time = time;
        // Read once: a reload of the configuration does not change the data folder of a running server.
        Folder = Path.GetFullPath(configuration.Current.DataDirectory);
    }

    public string Folder { get; }

    public bool IsHeld
    {
        get
        {
            lock (_gate) return _held is not null;
        }
    }

    /// <summary>Locks the folder unless another process holds it. Also true if this process holds it already.</summary>
    /// <exception cref="StorageException">The folder cannot be created or written.</exception>
    public bool TryHold()
    {
        lock (_gate)
        {
            if (_held is not null) return true;
            try
            {
                CreateFolder();
                if (TryOpen() is not { } held) return false;
                _held = held;
                Write(new DataFolderHolder(Environment.ProcessId, Environment.MachineName, _time.GetUtcNow(), DataFolderHolder.Running));
                return true;
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or NotSupportedException)
            {
                _held?.Dispose();
                _held = null;
                throw new StorageException(
                    $"The data folder '{Folder}' cannot be locked: {failure.Message.TrimEnd('.')}. "
                    + "Give this user the right to write there, or set another folder with FAIRLEAD_DATA or dataDirectory.",
                    failure);
            }
        }
    }

    /// <summary>Locks the folder. Waits a limited time for another process that holds it.</summary>
    /// <param name="waiting">Called with the holder at first, and whenever that changes.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="StorageException">Another process still holds it.</exception>
    public async Task HoldAsync(Action<DataFolderHolder>? waiting, CancellationToken cancellationToken)
    {
        var wait = new LimitedWait(this, waiting, _time);
        while (!TryHold())
        {
            wait.Check();
            await Task.Delay(RetryInterval, _time, cancellationToken);
        }
    }

    /// <summary>The same for an app that is being configured, where nothing can be awaited.</summary>
    /// <exception cref="StorageException">Another process still holds it.</exception>
    public void Hold()
    {
        if (TryHold()) return;
        // A test may control the app's clock; this thread waits in real time.
        var wait = new LimitedWait(this, null, TimeProvider.System);
        using var never = new ManualResetEventSlim();
        do
        {
            wait.Check();
            never.Wait(RetryInterval);
        }
        while (!TryHold());
    }

    /// <summary>Records that this process only finishes what it has started.</summary>
    public void Drain()
    {
        lock (_gate)
        {
            if (_held is null || _self is null) return;
            try
            {
                Write(_self with { State = DataFolderHolder.Draining });
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
            {
                // The next process then waits for a shorter time.
            }
        }
    }

    /// <summary>The holder of the folder, as far as it can be read.</summary>
    public DataFolderHolder Holder()
    {
        try
        {
            var json = File.ReadAllBytes(Path.Combine(Folder, FileName));
            return JsonSerializer.Deserialize(json, DataFolderJson.Default.DataFolderHolder) ?? Unknown;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or JsonException)
        {
            return Unknown;
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            if (_held is null) return;
            try
            {
                // Before the lock is freed: after that, the file may belong to the next process.
                File.Delete(Path.Combine(Folder, FileName));
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
            {
                // Only the lock decides; an outdated text does no harm.
            }
            _held.Dispose();
            _held = null;
        }
    }

    private static readonly DataFolderHolder Unknown = new(0, "", default, DataFolderHolder.Running);

    private FileStream? TryOpen()
    {
        var path = Path.Combine(Folder, HeldName);
        var options = new FileStreamOptions
        {
            Mode = FileMode.OpenOrCreate,
            Access = FileAccess.ReadWrite,
            Share = FileShare.None,
            BufferSize = 0,
        };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        try
        {
            return new FileStream(path, options);
        }
        catch (IOException failure) when (failure.GetType() == typeof(IOException) && IsTaken(failure))
        {
            return null;
        }
    }

    // ERROR_SHARING_VIOLATION, and EWOULDBLOCK of Linux and of macOS.
    private static bool IsTaken(IOException failure) => failure.HResult is unchecked((int)0x80070020) or 11 or 35;

    // Under the lock. By renaming, so that a reader never sees a part of it.
    private void Write(DataFolderHolder holder)
    {
        var path = Path.Combine(Folder, FileName);
        var written = path + ".new";
        var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write };
        // Readable by all: it contains nothing secret, and helps the operator of a process that is refused.
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead;
        }
        using (var file = new FileStream(written, options))
        {
            file.Write(JsonSerializer.SerializeToUtf8Bytes(holder, DataFolderJson.Default.DataFolderHolder));
            file.Write("\n"u8);
        }
        File.Move(written, path, overwrite: true);
        _self = holder;
    }

    private void CreateFolder()
    {
        if (OperatingSystem.IsWindows()) Directory.CreateDirectory(Folder);
        else Directory.CreateDirectory(Folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    /// <summary>Limits the wait of a start. The time starts again when the holder or its state changes.</summary>
    private sealed class LimitedWait(DataFolderLock folder, Action<DataFolderHolder>? waiting, TimeProvider time)
    {
        private DataFolderHolder? _seen;
        private long _since;

        /// <exception cref="StorageException">The time is over.</exception>
        public void Check()
        {
            var holder = folder.Holder();
            if (holder != _seen)
            {
                (_seen, _since) = (holder, time.GetTimestamp());
                waiting?.Invoke(holder);
                return;
            }
            var limit = holder.State == DataFolderHolder.Draining ? folder._configuration.Current.DrainTimeout + Grace : Grace;
            if (time.GetElapsedTime(_since) < limit) return;
            throw new StorageException(
                $"The data folder '{folder.Folder}' is in use by {holder}. Only one process serves from a data folder: stop that one, "
                + "or give this one its own folder with FAIRLEAD_DATA or dataDirectory.");
        }
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(DataFolderHolder))]
internal sealed partial class DataFolderJson : JsonSerializerContext;
