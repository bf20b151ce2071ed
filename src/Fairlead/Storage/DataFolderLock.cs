using System.Text.Json;
using System.Text.Json.Serialization;
using Fairlead.Configuration;

namespace Fairlead.Storage;

/// <summary>Which process works on a data folder, as the lock file names it.</summary>
/// <param name="Process">Its id on its host.</param>
/// <param name="Host">Name of its machine or container.</param>
/// <param name="StartedAt">When it took the folder.</param>
/// <param name="State"><c>running</c> or <c>draining</c>.</param>
internal sealed record DataFolderHolder(int Process, string Host, DateTimeOffset StartedAt, string State)
{
    public const string Running = "running";

    public const string Draining = "draining";

    public override string ToString() => Process == 0 ? "another process" : $"process {Process} on {Host} ({State}, since {StartedAt.UtcDateTime:yyyy-MM-dd HH:mm:ss} UTC)";
}

/// <summary>
/// The lock on the data folder: only one process serves from a folder at a time. The operating system holds it on <c>fairlead.lock.held</c> and frees it
/// when the process ends, however it ends. <c>fairlead.lock</c> beside it says in plain text who holds it. Commands that only read the folder or change
/// rows of the database do not take it. Thread-safe.
/// </summary>
/// <remarks>Created before everything that writes to the folder, so that the container disposes of it last.</remarks>
internal sealed class DataFolderLock : IDisposable
{
    public const string FileName = "fairlead.lock";

    /// <summary>The locked file is empty and another one than the text: on Unix a locked file cannot be read by other .NET processes.</summary>
    public const string HeldName = "fairlead.lock.held";

    /// <summary>How long a start waits for a holder that runs, beyond the time that a draining one is given.</summary>
    public static readonly TimeSpan Grace = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    private readonly IConfigurationSource _configuration;
    private readonly TimeProvider _time;
    private readonly Lock _gate = new();
    private FileStream? _held;
    private DataFolderHolder? _self;

    public DataFolderLock(IConfigurationSource configuration, TimeProvider time)
    {
        _configuration = configuration;
        _time = time;
        // Taken once: the data folder of a running server does not move when the configuration is reloaded.
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

    /// <summary>Takes the folder unless another process has it. True as well when this process has it already.</summary>
    /// <exception cref="StorageException">The folder cannot be made or written.</exception>
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
                throw new StorageException($"The data folder '{Folder}' cannot be locked: {failure.Message.TrimEnd('.')}. Give this user the right to write there, or name another folder by FAIRLEAD_DATA or dataDirectory.", failure);
            }
        }
    }

    /// <summary>Takes the folder; waits a limited time for another process that has it.</summary>
    /// <param name="waiting">Told who holds it: at first, and whenever that changes.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="StorageException">Another process keeps it.</exception>
    public async Task HoldAsync(Action<DataFolderHolder>? waiting, CancellationToken cancellationToken)
    {
        var patience = new Patience(this, waiting, _time);
        while (!TryHold())
        {
            patience.Look();
            await Task.Delay(Pause, _time, cancellationToken);
        }
    }

    /// <summary>The same for an app that is being put together, where nothing can be awaited yet.</summary>
    /// <exception cref="StorageException">Another process keeps it.</exception>
    public void Hold()
    {
        if (TryHold()) return;
        // The app's own clock may be one that a test moves; this thread waits in real time.
        var patience = new Patience(this, null, TimeProvider.System);
        using var never = new ManualResetEventSlim();
        do
        {
            patience.Look();
            never.Wait(Pause);
        }
        while (!TryHold());
    }

    /// <summary>From now on this process only brings to an end what it has begun.</summary>
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
                // The next process then waits less, and says whom it found.
            }
        }
    }

    /// <summary>Who holds the folder, as far as it can be read.</summary>
    public DataFolderHolder Holder()
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(Path.Combine(Folder, FileName)), DataFolderJson.Default.DataFolderHolder) ?? Unknown;
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
                // Before the lock goes: afterwards the file may be the next process's.
                File.Delete(Path.Combine(Folder, FileName));
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
            {
                // The lock alone decides; the text of a process that is gone misleads nobody.
            }
            _held.Dispose();
            _held = null;
        }
    }

    private static readonly DataFolderHolder Unknown = new(0, "", default, DataFolderHolder.Running);

    private FileStream? TryOpen()
    {
        var path = Path.Combine(Folder, HeldName);
        var options = new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite, Share = FileShare.None, BufferSize = 0 };
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

    // Under the lock. By renaming, so that nobody ever reads half of it.
    private void Write(DataFolderHolder holder)
    {
        var path = Path.Combine(Folder, FileName);
        var made = path + ".new";
        var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write };
        // Readable by all: it says nothing secret, and helps whoever is refused.
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead;
        using (var file = new FileStream(made, options))
        {
            file.Write(JsonSerializer.SerializeToUtf8Bytes(holder, DataFolderJson.Default.DataFolderHolder));
            file.Write("\n"u8);
        }
        File.Move(made, path, overwrite: true);
        _self = holder;
    }

    private void CreateFolder()
    {
        if (OperatingSystem.IsWindows()) Directory.CreateDirectory(Folder);
        else Directory.CreateDirectory(Folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    /// <summary>How long a start waits: anew whenever the holder or its state has changed.</summary>
    private sealed class Patience(DataFolderLock folder, Action<DataFolderHolder>? waiting, TimeProvider time)
    {
        private DataFolderHolder? _seen;
        private long _since;

        /// <exception cref="StorageException">It has waited long enough.</exception>
        public void Look()
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
            throw new StorageException($"The data folder '{folder.Folder}' is in use by {holder}. Only one process serves from a data folder: stop that one, or give this one a folder of its own by FAIRLEAD_DATA or dataDirectory.");
        }
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(DataFolderHolder))]
internal sealed partial class DataFolderJson : JsonSerializerContext;
